"""What handlers read of a request: the objects behind the application, the caller's address of it, names, the body."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from pilotlight.gateway.api.context import BackgroundServices
from pilotlight.gateway.api.errors import ApiError, bad_request
from pilotlight.gateway.api.tokens import Caller
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.storage.files import Files
from pilotlight.traffic import RequestKeys

# Requests with the same value stay on one version of a deployment.
KEY_HEADER = "Pilotlight-Key"

Body = TypeVar("Body", bound=BaseModel)


def gateway_of(request: Request) -> Gateway:
    """Return the gateway behind the application."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def services_of(request: Request) -> BackgroundServices:
    """Return the gateway's background services: webhooks, deadlines, retention."""
    services: BackgroundServices = request.app.state.services
    return services


def files_of(request: Request) -> Files:
    """Return the store of uploads."""
    files: Files = request.app.state.files
    return files


def registry_of(request: Request) -> Registry:
    """Return the registry that the gateway writes to.

    Raises:
        ApiError: 409 where it was opened without one.
    """
    registry = gateway_of(request).catalog.registry
    if registry is None:
        raise ApiError(
            HTTPStatus.CONFLICT,
            "This gateway was opened without a registry: models and deployments cannot be changed here.",
        )
    return registry


def needs_token(request: Request) -> bool:
    """Return whether callers of this gateway have to send a token."""
    locked: bool = request.app.state.locked
    return locked


def caller_of(request: Request) -> Caller:
    """Return who sends a request, as ``SecurityMiddleware`` has found; not for routes that are open to everyone."""
    caller: Caller = request.scope["caller"]
    return caller


def base_of(request: Request) -> str:
    """Return the URL under which this caller reaches the gateway, so that URLs in the answer work for them."""
    public_url: str | None = request.app.state.public_url
    return str(request.base_url).rstrip("/") if public_url is None else public_url


def name_of(request: Request) -> str:
    """Return the ``owner/name`` in the path."""
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def keys_of(request: Request, inputs: Mapping[str, Any] | None = None, key: str | None = None) -> RequestKeys:
    """Return what a request can be kept on one version of a deployment by.

    Args:
        request: its header ``Pilotlight-Key`` is a key for every deployment.
        inputs: its inputs by name.
        key: a key that the body names, which counts where the header is missing.
    """
    return RequestKeys(request.headers.get(KEY_HEADER) or key, request.headers, inputs or {})


def parse(raw: bytes, body: type[Body]) -> Body:
    """Return the body of a request; an empty one counts as ``{}``.

    Raises:
        ApiError: 400 where it is not JSON, 422 where it does not fit ``body``.
    """
    try:
        document = from_json(raw or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}") from None
    try:
        return body.model_validate(document)
    except ValidationError as error:
        known = ", ".join(body.model_fields)
        lines = [
            f"- {'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}"
            + (f"; the fields are {known}" if one["type"] == "extra_forbidden" and len(one["loc"]) == 1 else "")
            for one in error.errors()
        ]
        fields = [
            {"type": one["type"], "field": ".".join(map(str, one["loc"])), "description": one["msg"]}
            for one in error.errors()
        ]
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "\n".join(lines),
            title="The body does not fit this route",
            extra={"invalid_fields": fields},
        ) from None
