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
from pilotlight.gateway.api.errors import ApiError, answer
from pilotlight.gateway.api.openai import routes as openai_routes
from pilotlight.gateway.api.proxies import TrustedProxies
from pilotlight.gateway.api.rate_limit import Rate
from pilotlight.gateway.api.replicate import account as account_routes
from pilotlight.gateway.api.replicate import deployments as deployment_routes
from pilotlight.gateway.api.replicate import files as file_routes
from pilotlight.gateway.api.replicate import models as model_routes
from pilotlight.gateway.api.replicate import outputs as output_routes
from pilotlight.gateway.api.replicate import predictions as prediction_routes
from pilotlight.gateway.api.replicate import search as search_routes
from pilotlight.gateway.api.routing import MatchingRouter
from pilotlight.gateway.api.security import SecurityMiddleware
from pilotlight.gateway.api.tokens import Tokens
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.ui import page
from pilotlight.runtime.http.request import MAX_BODY_BYTES

_MODULES = (
    prediction_routes,
    output_routes,
    plain_routes,
    openai_routes,
    model_routes,
    search_routes,
    deployment_routes,
    file_routes,
    account_routes,
    ops_routes,
    openapi,
    page,
)
# The declarations of all routes, in the order in which they are listed.
ROUTES = tuple(route for module in _MODULES for route in module.ROUTES.specs)

_ANSWERED = (ApiError, PilotlightError, HTTPException, ClientDisconnect, Exception)


def create_app(
    gateway: Gateway,
    files: Files,
    services: BackgroundServices,
    *,
    tokens: Tokens | None = None,
    hosts: Collection[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    rate: Rate | None = None,
    proxies: TrustedProxies | None = None,
    public_url: str | None = None,
) -> Starlette:
    """Return the application; its caller opens and closes the gateway, the files and the services.

    Args:
        gateway: runs the predictions.
        files: the uploads.
        services: webhooks, deadlines and retention.
        tokens: one of which a caller has to send; ``None`` where no token is needed.
        hosts: the names under which the gateway may be called; ``None`` for any.
        max_body_bytes: the largest body of a request.
        rate: how often a token or an address may call; ``None`` for no limit.
        proxies: whose ``X-Forwarded-*`` headers are believed; ``None`` for nobody's.
        public_url: the URL of the gateway in all that it answers; ``None`` for the one that each caller used.
    """
    router = MatchingRouter(ROUTES)
    security = Middleware(
        SecurityMiddleware,
        router=router,
        tokens=tokens,
        hosts=hosts,
        max_body_bytes=max_body_bytes,
        rate=rate,
        clock=gateway.clock,
        proxies=proxies or TrustedProxies(),
    )
    app = Starlette(
        middleware=[security],
        exception_handlers=dict.fromkeys(_ANSWERED, answer),
    )
    app.router = router
    app.state.gateway = gateway
    app.state.files = files
    app.state.public_url = public_url
    app.state.locked = tokens is not None
    app.state.services = services
    return app
