"""Replicate's API for models and their versions, under ``/v1/models``."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilotlight.gateway.api.errors import ProblemError
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.predictions import base_of, gateway_of, name_of
from pilotlight.gateway.registry.names import ConflictError
from pilotlight.gateway.registry.registry import Model, Registry
from pilotlight.gateway.scheduler.gateway import Gateway

_LONGEST_SEARCH = 1000


def routes() -> list[Route]:
    """All of them."""
    return [
        Route("/v1/models", list_models),
        Route("/v1/models", create_model, methods=["POST"]),
        Route("/v1/models", search_models, methods=["QUERY"]),
        Route("/v1/models/{owner}/{name}", get_model),
        Route("/v1/models/{owner}/{name}", delete_model, methods=["DELETE"]),
        Route("/v1/models/{owner}/{name}/versions", list_versions),
        Route("/v1/models/{owner}/{name}/versions/{id}", get_version),
        Route("/v1/models/{owner}/{name}/versions/{id}", delete_version, methods=["DELETE"]),
    ]


def registry_of(request: Request) -> Registry:
    """What the gateway writes to.

    Raises:
        ProblemError: it serves projects only.
    """
    registry = gateway_of(request).catalog.registry
    if registry is None:
        raise ProblemError(HTTPStatus.CONFLICT, "This gateway serves projects only: it has no registry to change.")
    return registry


async def list_models(request: Request) -> Response:
    models = gateway_of(request).catalog.models
    return JSONResponse(replicate_schemas.listing([await _shown(request, model) for model in models]))


async def search_models(request: Request) -> Response:
    """Those whose name or description has every word of the body, which is plain text."""
    text = (await request.body())[:_LONGEST_SEARCH].decode(errors="replace")
    words = text.lower().split()
    found = [
        model
        for model in gateway_of(request).catalog.models
        if all(word in f"{model.model} {model.description or ''}".lower() for word in words)
    ]
    return JSONResponse(replicate_schemas.listing([await _shown(request, model) for model in found]))


async def create_model(request: Request) -> Response:
    """A model without a version, for ``pilotlight push`` to fill; ``hardware`` has no effect on this machine."""
    body = replicate_schemas.parse(await request.body(), replicate_schemas.ModelBody)
    fields = body.model_dump(exclude={"owner", "name", "hardware"})
    name = f"{body.owner}/{body.name}"
    model = Model(name, gateway_of(request).clock(), **fields)
    _refuse_project(gateway_of(request), name)
    await asyncio.to_thread(registry_of(request).create_model, model)
    return JSONResponse(await _shown(request, model), HTTPStatus.CREATED)


async def get_model(request: Request) -> Response:
    return JSONResponse(await _shown(request, gateway_of(request).catalog.model(name_of(request))))


async def delete_model(request: Request) -> Response:
    """Once its versions have been deleted."""
    _refuse_project(gateway_of(request), name_of(request))
    await asyncio.to_thread(registry_of(request).delete_model, name_of(request))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def list_versions(request: Request) -> Response:
    versions = gateway_of(request).catalog.versions(name_of(request))
    return JSONResponse(replicate_schemas.listing([replicate_schemas.version(version) for version in versions]))


async def get_version(request: Request) -> Response:
    version = gateway_of(request).catalog.find(request.path_params["id"], name_of(request))
    return JSONResponse(replicate_schemas.version(version))


async def delete_version(request: Request) -> Response:
    """Its predictions that wait or run still end on it; its files stay until ``pilotlight gc``."""
    _refuse_project(gateway_of(request), name_of(request))
    await asyncio.to_thread(registry_of(request).delete_version, name_of(request), request.path_params["id"])
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _shown(request: Request, model: Model) -> dict[str, object]:
    gateway = gateway_of(request)
    latest = None if model.current is None else gateway.catalog.find(model.current, model.model)
    return replicate_schemas.model(model, latest, base_of(request), await gateway.store.count(model.model))


def _refuse_project(gateway: Gateway, model: str) -> None:
    for project in gateway.catalog.projects:
        if project.model == model:
            raise ConflictError(
                f"{model} is served from its folder, {project.project.root}: push it under another name."
            )
