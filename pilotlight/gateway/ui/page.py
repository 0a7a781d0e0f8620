"""The page at ``/``: how the gateway stands, and how to use it. Whole without JavaScript where no token is asked for.

Where one is, the page itself holds nothing of this gateway but its address: what is on it comes from ``/page/live``,
with the token that a user gives the page, which keeps it in memory and nowhere else.
"""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pilotlight.gateway.api.openapi_schemas import TEXT
from pilotlight.gateway.api.request import base_of, gateway_of, needs_token
from pilotlight.gateway.api.routing import EMPTY, OPEN, Content, Routes
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.scheduler.status import snapshot
from pilotlight.gateway.ui.docs import render_docs
from pilotlight.gateway.ui.live import render_live

# Nothing but this gateway's own files, no inline script or style, and in nobody's frame.
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
    content = _file("locked.html") if locked else await _content(request)
    page = Template(_file("page.html")).substitute(content=content, base=html.escape(base_of(request)))
    return HTMLResponse(page, headers=_HEADERS)


@ROUTES.add(
    "GET",
    "/page/live",
    scope=Scope.READ,
    summary="Show the part of the page that changes, for its script.",
    answers={200: _HTML},
    documented=False,
)
async def show_live(request: Request) -> Response:
    return HTMLResponse(await _content(request), headers=_HEADERS)


@ROUTES.add("GET", "/page/style.css", scope=OPEN, summary="Style the page.", answers={200: EMPTY}, documented=False)
@ROUTES.add("GET", "/page/script.js", scope=OPEN, summary="Update the page.", answers={200: EMPTY}, documented=False)
async def show_asset(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return Response(_file(name), media_type=_ASSETS[name], headers={**_HEADERS, "Cache-Control": "no-cache"})


async def _content(request: Request) -> str:
    gateway = gateway_of(request)
    docs = render_docs(gateway.versions, base_of(request), token=needs_token(request), routes=request.app.router.specs)
    return (
        f'<section id="live" aria-label="Now">{render_live(await snapshot(gateway))}</section>'
        f'<section id="docs" aria-label="How to use it">{docs}</section>'
    )


@cache
def _file(name: str) -> str:
    return (files("pilotlight.gateway.ui") / "page_files" / name).read_text("utf-8")
