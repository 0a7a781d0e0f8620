"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from pilotlight.errors import PilotlightError
from pilotlight.gateway import (
    account_api,
    api,
    deployment_api,
    file_api,
    model_api,
    openai_api,
    openapi,
    page,
    plain,
    watch_api,
)
from pilotlight.gateway.extras import Extras
from pilotlight.gateway.files import Files
from pilotlight.gateway.gateway import Gateway
from pilotlight.gateway.guard import Guard
from pilotlight.gateway.problems import ProblemError, answer
from pilotlight.gateway.rates import Rate
from pilotlight.gateway.tokens import Tokens
from pilotlight.runtime.request import MAX_BODY_BYTES

_ANSWERED = (ProblemError, PilotlightError, HTTPException, ClientDisconnect, Exception)


def create_app(
    gateway: Gateway,
    files: Files,
    extras: Extras,
    *,
    tokens: Tokens | None = None,
    hosts: Collection[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    rate: Rate | None = None,
) -> Starlette:
    """All routes, guarded as ``Guard`` says. Whoever runs the app opens and closes what is behind it."""
    guard = Middleware(Guard, tokens=tokens, hosts=hosts, max_body_bytes=max_body_bytes, rate=rate, clock=gateway.clock)
    app = Starlette(
        # What creates predictions comes first: all routes before the one that is asked for are tried.
        routes=[
            *plain.routes(),
            *api.routes(),
            *openai_api.routes(),
            *model_api.routes(),
            *deployment_api.routes(),
            *file_api.routes(),
            *account_api.routes(),
            *openapi.routes(),
            *watch_api.routes(),
            *page.routes(),
        ],
        middleware=[guard],
        exception_handlers=dict.fromkeys(_ANSWERED, answer),
    )
    app.state.gateway = gateway
    app.state.files = files
    app.state.locked = tokens is not None
    app.state.extras = extras
    return app
