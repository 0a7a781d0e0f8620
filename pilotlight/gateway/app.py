"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from pilotlight.errors import PilotlightError
from pilotlight.gateway import api, file_api, plain
from pilotlight.gateway.files import Files
from pilotlight.gateway.gateway import Gateway
from pilotlight.gateway.guard import Guard
from pilotlight.gateway.problems import ProblemError, answer
from pilotlight.runtime.request import MAX_BODY_BYTES

_ANSWERED = (ProblemError, PilotlightError, HTTPException, ClientDisconnect, Exception)


def create_app(
    gateway: Gateway,
    files: Files,
    *,
    token: str | None = None,
    hosts: Collection[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Starlette:
    """All routes, guarded as ``Guard`` says. Whoever runs the app opens and closes what is behind it."""
    app = Starlette(
        routes=[*api.routes(), *file_api.routes(), *plain.routes()],
        middleware=[Middleware(Guard, token=token, hosts=hosts, max_body_bytes=max_body_bytes)],
        exception_handlers=dict.fromkeys(_ANSWERED, answer),
    )
    app.state.gateway = gateway
    app.state.files = files
    return app
