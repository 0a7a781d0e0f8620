"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from pilotlight.errors import PilotlightError
from pilotlight.gateway.api import openapi
from pilotlight.gateway.api import ops as ops_routes
from pilotlight.gateway.api import plain as plain_routes
from pilotlight.gateway.api.context import BackgroundServices
from pilotlight.gateway.api.errors import ProblemError, answer
from pilotlight.gateway.api.openai import routes as openai_routes
from pilotlight.gateway.api.rate_limit import Rate
from pilotlight.gateway.api.replicate import account as account_routes
from pilotlight.gateway.api.replicate import deployments as deployment_routes
from pilotlight.gateway.api.replicate import files as file_routes
from pilotlight.gateway.api.replicate import models as model_routes
from pilotlight.gateway.api.replicate import predictions as prediction_routes
from pilotlight.gateway.api.security import SecurityMiddleware
from pilotlight.gateway.api.tokens import Tokens
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.ui import page
from pilotlight.runtime.http.request import MAX_BODY_BYTES

_ANSWERED = (ProblemError, PilotlightError, HTTPException, ClientDisconnect, Exception)


def create_app(
    gateway: Gateway,
    files: Files,
    services: BackgroundServices,
    *,
    tokens: Tokens | None = None,
    hosts: Collection[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    rate: Rate | None = None,
) -> Starlette:
    """All routes, guarded as ``SecurityMiddleware`` says. Whoever runs the app opens and closes what is behind it."""
    guard = Middleware(
        SecurityMiddleware, tokens=tokens, hosts=hosts, max_body_bytes=max_body_bytes, rate=rate, clock=gateway.clock
    )
    app = Starlette(
        # What creates predictions comes first: all routes before the one that is asked for are tried.
        routes=[
            *plain_routes.routes(),
            *prediction_routes.routes(),
            *openai_routes.routes(),
            *model_routes.routes(),
            *deployment_routes.routes(),
            *file_routes.routes(),
            *account_routes.routes(),
            *openapi.routes(),
            *ops_routes.routes(),
            *page.routes(),
        ],
        middleware=[guard],
        exception_handlers=dict.fromkeys(_ANSWERED, answer),
    )
    app.state.gateway = gateway
    app.state.files = files
    app.state.locked = tokens is not None
    app.state.services = services
    return app
