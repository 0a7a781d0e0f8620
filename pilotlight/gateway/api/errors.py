"""Errors of the HTTP API: one exception, answered as an RFC 9457 object as Replicate does, or as OpenAI does."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from pilotlight.errors import PilotlightError, StoreError
from pilotlight.gateway.api.openai import errors as openai_errors
from pilotlight.gateway.registry.names import ConflictError, MissingError
from pilotlight.gateway.scheduler.gateway import ClosingError
from pilotlight.gateway.storage.files import QuotaError
from pilotlight.runtime.schema.validation import InvalidInputError

CLOSED = "The caller has closed the connection."


class ApiError(Exception):
    """Ends a request with an error.

    Args:
        status: the status of HTTP.
        detail: what was given, what was expected, and what to change.
        title: the kind of error in a few words; by default that of the status.
        headers: the headers of the answer.
        extra: further members of the object.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {**(extra or {}), "title": title or status.phrase, "detail": detail, "status": int(status)}
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the answer in Replicate's shape."""
        return JSONResponse(self.body, self.status, self.headers, media_type="application/problem+json")


def bad_request(detail: str) -> ApiError:
    """Return a 400, for a request that cannot be read."""
    return ApiError(HTTPStatus.BAD_REQUEST, detail)


def unprocessable(detail: str) -> ApiError:
    """Return a 422, for a request that can be read and is wrong."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def not_found(what: str) -> ApiError:
    """Return a 404 for something that has a name."""
    return ApiError(HTTPStatus.NOT_FOUND, f"There is no {what} here.")


def invalid_input(error: InvalidInputError) -> ApiError:
    """Return a 422 with every mistake on its own line, and in ``invalid_fields``."""
    fields = [
        {"type": one.kind, "field": f"input.{one.field.replace('/', '.')}", "description": one.message}
        for one in error.mistakes
    ]
    lines = [f"- {field['field']}: {field['description']}" for field in fields]
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "\n".join(lines),
        title="Input validation failed",
        extra={"invalid_fields": fields},
    )


def as_api_error(error: Exception) -> ApiError:
    """Return the answer to an exception that a handler has raised."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, InvalidInputError):
        return invalid_input(error)
    if isinstance(error, MissingError):
        return ApiError(HTTPStatus.NOT_FOUND, str(error))
    if isinstance(error, ConflictError):
        return ApiError(HTTPStatus.CONFLICT, str(error))
    if isinstance(error, QuotaError):
        return ApiError(HTTPStatus.INSUFFICIENT_STORAGE, str(error), title="Upload quota exceeded")
    if isinstance(error, HTTPException):  # the router's and Starlette's own
        return ApiError(HTTPStatus(error.status_code), error.detail, headers=error.headers)
    if isinstance(error, ClosingError | StoreError):
        return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "5"})
    if isinstance(error, PilotlightError):
        return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    if isinstance(error, ClientDisconnect):
        return ApiError(HTTPStatus.BAD_REQUEST, CLOSED)
    # The server logs it with its traceback.
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a bug of the gateway; its log has the traceback.")


def respond(path: str, error: ApiError) -> JSONResponse:
    """Return the answer in the shape of the API that ``path`` belongs to."""
    if not path.startswith(openai_errors.PREFIX):
        return error.response()
    body = openai_errors.error(error.status, error.body)
    return JSONResponse(body, openai_errors.status_of(error.status), error.headers)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Handle the exceptions of every route."""
    return respond(request.url.path, as_api_error(error))
