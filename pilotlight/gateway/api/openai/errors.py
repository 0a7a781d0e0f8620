"""Errors in the shape of OpenAI's API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

PREFIX = "/openai/"

_KINDS = {
    HTTPStatus.UNAUTHORIZED: ("authentication_error", "invalid_api_key"),
    HTTPStatus.FORBIDDEN: ("permission_error", None),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_error", "rate_limit_exceeded"),
}


def status_of(status: HTTPStatus) -> HTTPStatus:
    """Return the status that OpenAI uses where Replicate uses ``status``: 400 for a wrong input, not 422."""
    return HTTPStatus.BAD_REQUEST if status is HTTPStatus.UNPROCESSABLE_ENTITY else status


def error(status: HTTPStatus, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return OpenAI's body for an RFC 9457 object, with the ``param`` and ``code`` that it has."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, code = "server_error", None
    else:
        kind, code = _KINDS.get(status, ("invalid_request_error", None))
    return {
        "error": {
            "message": body["detail"],
            "type": kind,
            "param": body.get("param", _first_field(body)),
            "code": body.get("code", code),
        }
    }


def _first_field(body: Mapping[str, Any]) -> str | None:
    """Return the field of the request's body that the first mistake is in, without what is within it."""
    fields = body.get("invalid_fields") or [{"field": ""}]
    name: str = fields[0]["field"].partition(".")[0]
    return name or None
