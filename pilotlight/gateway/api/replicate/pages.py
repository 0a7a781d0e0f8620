"""Lists in pages, as Replicate gives them: ``previous``, ``next`` and ``results``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse

from pilotlight.gateway.api.errors import bad_request
from pilotlight.gateway.api.openapi_schemas import TEXT, Schema
from pilotlight.gateway.api.request import base_of
from pilotlight.gateway.storage.store import Page

T = TypeVar("T")

# As many as Replicate gives.
PAGE = 100

CURSOR: Schema = {
    "name": "cursor",
    "in": "query",
    "required": False,
    "schema": TEXT,
    "description": "A place in the list, as `next` and `previous` give it.",
}


def _created(side: str, what: str) -> Schema:
    schema = {"type": "string", "format": "date-time"}
    return {"name": side, "in": "query", "required": False, "schema": schema, "description": what}


CREATED = (
    _created("created_after", "Only predictions that were created at that time or later."),
    _created("created_before", "Only predictions that were created before that time."),
    {
        "name": "source",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "enum": ["api", "web"]},
        "description": "Where they were created; on a gateway always `api`.",
    },
)


def listing(
    results: list[dict[str, Any]], *, previous: str | None = None, following: str | None = None
) -> dict[str, Any]:
    """Return one page of a list; without URLs of others it is the only one."""
    return {"previous": previous, "next": following, "results": results}


async def page_response(
    request: Request,
    items: Sequence[T],
    show: Callable[[T], Awaitable[dict[str, Any]] | dict[str, Any]],
    name: Callable[[T], str],
) -> JSONResponse:
    """Return the page of a list that the request asks for.

    Args:
        request: the request; its ``cursor`` says which page.
        items: the whole list.
        show: returns an item as it is shown, called for the items of the page only.
        name: returns what an item is found by again, when the list has changed meanwhile.

    Raises:
        ApiError: 400 for a cursor that is none.
    """
    names = [name(item) for item in items]
    start = _start(request.query_params.get("cursor"), names)
    before, after = max(start - PAGE, 0), start + PAGE
    shown: list[dict[str, Any]] = []
    for item in items[start:after]:
        one = show(item)
        shown.append(one if isinstance(one, dict) else await one)
    return JSONResponse(
        listing(
            shown,
            previous=list_url(request, _write(f"at:{before}:{names[before]}")) if start else None,
            following=list_url(request, _write(f"at:{after}:{names[after]}")) if after < len(names) else None,
        )
    )


def prediction_cursors(request: Request, page: Page) -> dict[str, str | None]:
    """Return the URLs of the pages before and after a page of predictions, newest first."""
    numbers = [number for number, _ in page.records]
    return {
        "previous": list_url(request, write_cursor("after", numbers[0])) if page.newer and numbers else None,
        "following": list_url(request, write_cursor("before", numbers[-1])) if page.older and numbers else None,
    }


def list_url(request: Request, cursor: str) -> str:
    """Return the URL of the list that was asked for, at another place."""
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{base_of(request)}{request.scope['path']}?{urlencode([*others, ('cursor', cursor)])}"


def read_time(name: str, text: str | None) -> float | None:
    """Return a time of the query in seconds since 1970; one without a zone is in UTC.

    Raises:
        ApiError: 400 where it is no time in ISO 8601.
    """
    if text is None:
        return None
    try:
        # A plus sign that was not escaped has become a space.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise bad_request(f"{name} {text[:80]!r} is no time: give one such as 2026-01-31T09:00:00Z.") from None


def write_cursor(side: str, number: int) -> str:
    """Return a place in the list of predictions that does not move when new ones are added."""
    return _write(f"{side}:{number}")


def read_cursor(text: str) -> dict[str, int]:
    """Return ``{"before": number}`` or ``{"after": number}``.

    Raises:
        ApiError: the text is not a cursor.
    """
    match = re.fullmatch(r"(before|after):([0-9]{1,18})", _read(text))
    if match is None:
        raise _no_cursor(text)
    return {match[1]: int(match[2])}


def _start(cursor: str | None, names: Sequence[str]) -> int:
    """Return the index at which a page starts; the first item of it may have moved, or be gone."""
    if cursor is None or not names:
        return 0
    match = re.fullmatch(r"at:([0-9]{1,9}):(.*)", _read(cursor), re.DOTALL)
    if match is None:
        raise _no_cursor(cursor)
    return names.index(match[2]) if match[2] in names else min(int(match[1]), len(names) - 1)


def _write(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def _no_cursor(text: str) -> Exception:
    return bad_request(f"cursor {text[:80]!r} is not a cursor: take one from next or previous of a page.")
