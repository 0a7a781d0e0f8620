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
from starlette.routing import Route

from pilotlight.gateway.api.replicate.predictions import base_of, gateway_of
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


def routes() -> list[Route]:
    """All of them; ``/page/live`` alone needs a token, where the gateway asks for one."""
    return [
        Route("/", show_page),
        Route("/page/live", show_live),
        *(Route(f"/page/{name}", show_asset, name=name) for name in _ASSETS),
    ]


async def show_page(request: Request) -> Response:
    locked: bool = request.app.state.locked
    content = _file("locked.html") if locked else await _content(request)
    page = Template(_file("page.html")).substitute(content=content, base=html.escape(base_of(request)))
    return HTMLResponse(page, headers=_HEADERS)


async def show_live(request: Request) -> Response:
    """The part of the page that changes, for its script."""
    return HTMLResponse(await _content(request), headers=_HEADERS)


async def show_asset(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return Response(_file(name), media_type=_ASSETS[name], headers={**_HEADERS, "Cache-Control": "no-cache"})


async def _content(request: Request) -> str:
    gateway = gateway_of(request)
    docs = render_docs(gateway.versions, base_of(request), token=request.app.state.locked)
    return (
        f'<section id="live" aria-label="Now">{render_live(await snapshot(gateway))}</section>'
        f'<section id="docs" aria-label="How to use it">{docs}</section>'
    )


@cache
def _file(name: str) -> str:
    return (files("pilotlight.gateway.ui") / "page_files" / name).read_text("utf-8")
