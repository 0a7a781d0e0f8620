"""Answers to what cannot be done: RFC 7807 objects, as Replicate's API gives them, from one exception."""

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
from pilotlight.runtime.schema.validation import InvalidInputError


class ProblemError(Exception):
    """Ends a request.

    Args:
        status: of HTTP.
        detail: what was given, what is possible, what to change.
        title: the sort of problem, in words; that of the status by default.
        headers: of the answer.
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
        return JSONResponse(self.body, self.status, self.headers, media_type="application/problem+json")


def not_found(what: str) -> ProblemError:
    """404, for something that has a name."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"There is no {what} here.")


def invalid_input(error: InvalidInputError) -> ProblemError:
    """422, with every mistake on a line of its own and in ``invalid_fields``."""
    fields = [
        {"type": one.kind, "field": f"input.{one.field.replace('/', '.')}", "description": one.message}
        for one in error.mistakes
    ]
    lines = [f"- {field['field']}: {field['description']}" for field in fields]
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "\n".join(lines),
        title="Input validation failed",
        extra={"invalid_fields": fields},
    )


def as_problem(error: Exception) -> ProblemError:
    """Whatever a request has raised, as the answer to it."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, InvalidInputError):
        return invalid_input(error)
    if isinstance(error, MissingError):
        return ProblemError(HTTPStatus.NOT_FOUND, str(error))
    if isinstance(error, ConflictError):
        return ProblemError(HTTPStatus.CONFLICT, str(error))
    if isinstance(error, HTTPException):  # starlette's own: no such route, or not with this method
        return ProblemError(HTTPStatus(error.status_code), error.detail, headers=error.headers)
    if isinstance(error, ClosingError | StoreError):
        return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "5"})
    if isinstance(error, PilotlightError):
        return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    if isinstance(error, ClientDisconnect):
        return ProblemError(HTTPStatus.BAD_REQUEST, "The caller has closed the connection.")
    # The server logs it, with its traceback.
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway has a bug; its log says where.")


def respond(path: str, problem: ProblemError) -> JSONResponse:
    """The answer in the shape of the API that ``path`` belongs to."""
    if not path.startswith(openai_errors.PREFIX):
        return problem.response()
    body = openai_errors.error(problem.status, problem.body)
    return JSONResponse(body, openai_errors.status_of(problem.status), problem.headers)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """The exception handler of every route."""
    return respond(request.url.path, as_problem(error))
