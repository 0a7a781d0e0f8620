"""The page at ``/``: the state of the gateway, and how to use it.

Where no token is needed, the page is complete without JavaScript. Where one is needed, the page itself holds only the
gateway's address; its content comes from ``/page/live``, with the token that the user types. The page keeps the token
in memory only.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pilotlight.gateway.api.openapi_schemas import TEXT
from pilotlight.gateway.api.request import base_of, caller_of, gateway_of, needs_token
from pilotlight.gateway.api.routing import EMPTY, OPEN, Content, Routes, by_group
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.scheduler.status import snapshot
from pilotlight.gateway.ui.docs import usage_examples
from pilotlight.gateway.ui.render import render

# Only this gateway's own files, no inline script or style, and no frames.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ASSETS = {"style.css": "text/css", "script.js": "text/javascript"}
_HTML: Content = {"text/html": TEXT}

ROUTES = Routes("The page")


@ROUTES.add("GET", "/", scope=OPEN, summary="Show the page.", answers={200: _HTML}, documented=False)
async def show_page(request: Request) -> Response:
    locked = needs_token(request)
    values = {} if locked else await _values(request)
    return await _html("page.html", **values, locked=locked, base=base_of(request))


@ROUTES.add(
    "GET",
    "/page/live",
    scope=Scope.READ,
    summary="Show the part of the page that changes, for its script.",
    answers={200: _HTML},
    documented=False,
)
async def show_live(request: Request) -> Response:
    return await _html("content.html", **await _values(request), locked=needs_token(request))


@ROUTES.add("GET", "/page/style.css", scope=OPEN, summary="Style the page.", answers={200: EMPTY}, documented=False)
@ROUTES.add("GET", "/page/script.js", scope=OPEN, summary="Update the page.", answers={200: EMPTY}, documented=False)
async def show_asset(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return Response(_file(name), media_type=_ASSETS[name], headers={**_HEADERS, "Cache-Control": "no-cache"})


async def _html(template: str, **values: Any) -> Response:
    """Render on a thread: the first page imports Jinja2, which takes a tenth of a second."""
    return HTMLResponse(await asyncio.to_thread(render, template, **values), headers=_HEADERS)


async def _values(request: Request) -> dict[str, Any]:
    """Return what the templates show."""
    gateway = gateway_of(request)
    return {
        "status": await snapshot(gateway, owner=caller_of(request).only_owner),
        "examples": usage_examples(gateway.versions, base_of(request), token=needs_token(request)),
        "groups": by_group(request.app.router.specs),
    }


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name("static").joinpath(name).read_text("utf-8")
