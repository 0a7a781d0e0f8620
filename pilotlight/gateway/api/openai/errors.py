"""Errors in the shape that OpenAI's clients read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

PREFIX = "/openai/"

_SORTS = {
    HTTPStatus.UNAUTHORIZED: ("authentication_error", "invalid_api_key"),
    HTTPStatus.FORBIDDEN: ("permission_error", None),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_error", "rate_limit_exceeded"),
}


def status_of(status: HTTPStatus) -> HTTPStatus:
    """What OpenAI answers where Replicate answers ``status``: a wrong input is 400 there."""
    return HTTPStatus.BAD_REQUEST if status is HTTPStatus.UNPROCESSABLE_ENTITY else status


def error(status: HTTPStatus, problem: Mapping[str, Any]) -> dict[str, Any]:
    """The body for an RFC 7807 object, whose members ``param`` and ``code`` are taken over where it has them."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        sort, code = "server_error", None
    else:
        sort, code = _SORTS.get(status, ("invalid_request_error", None))
    return {
        "error": {
            "message": problem["detail"],
            "type": sort,
            "param": problem.get("param"),
            "code": problem.get("code", code),
        }
    }
