"""Replicate's API for models and their versions, under ``/v1/models``."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pilotlight.gateway.api.openapi_schemas import TEXT, page_of, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.schemas import ModelBody
from pilotlight.gateway.api.request import base_of, gateway_of, name_of, registry_of
from pilotlight.gateway.api.routing import EMPTY, Routes, as_json
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.registry.names import ConflictError
from pilotlight.gateway.registry.registry import Model
from pilotlight.gateway.scheduler.gateway import Gateway

ROUTES = Routes("Models")

_MODEL, _VERSION = ref("Model"), ref("Version")
_ONE = "/v1/models/{owner}/{name}"

_LONGEST_SEARCH = 1000


@ROUTES.add(
    "GET",
    "/v1/models",
    scope=Scope.READ,
    summary="List the models that are served.",
    answers={200: as_json(page_of(_MODEL))},
)
async def list_models(request: Request) -> Response:
    models = gateway_of(request).catalog.models
    return JSONResponse(replicate_schemas.listing([await _shown(request, model) for model in models]))


@ROUTES.add(
    "QUERY",
    "/v1/models",
    scope=Scope.READ,
    summary="Search the models whose name or description has every word of the body, a plain text.",
    answers={200: as_json(page_of(_MODEL))},
    takes={"text/plain": TEXT},
)
async def search_models(request: Request) -> Response:
    text = (await request.body())[:_LONGEST_SEARCH].decode(errors="replace")
    words = text.lower().split()
    found = [
        model
        for model in gateway_of(request).catalog.models
        if all(word in f"{model.model} {model.description or ''}".lower() for word in words)
    ]
    return JSONResponse(replicate_schemas.listing([await _shown(request, model) for model in found]))


@ROUTES.add_with_body(
    "POST",
    "/v1/models",
    ModelBody,
    scope=Scope.ADMIN,
    summary="Create a model without a version; `pilotlight push` adds versions.",
    answers={201: as_json(_MODEL)},
    errors=(409,),
)
async def create_model(request: Request, body: ModelBody) -> Response:
    fields = body.model_dump(exclude={"owner", "name", "hardware"})
    name = f"{body.owner}/{body.name}"
    model = Model(name, gateway_of(request).clock(), **fields)
    _refuse_project(gateway_of(request), name)
    await asyncio.to_thread(registry_of(request).create_model, model)
    return JSONResponse(await _shown(request, model), HTTPStatus.CREATED)


@ROUTES.add(
    "GET",
    _ONE,
    scope=Scope.READ,
    summary="Get a model, with its latest version and the schema of its inputs.",
    answers={200: as_json(_MODEL)},
    errors=(404,),
)
async def get_model(request: Request) -> Response:
    return JSONResponse(await _shown(request, gateway_of(request).catalog.model(name_of(request))))


@ROUTES.add(
    "DELETE",
    _ONE,
    scope=Scope.ADMIN,
    summary="Delete a model that has no versions.",
    answers={204: EMPTY},
    errors=(404, 409),
)
async def delete_model(request: Request) -> Response:
    _refuse_project(gateway_of(request), name_of(request))
    await asyncio.to_thread(registry_of(request).delete_model, name_of(request))
    return Response(status_code=HTTPStatus.NO_CONTENT)


@ROUTES.add(
    "GET",
    f"{_ONE}/versions",
    scope=Scope.READ,
    summary="List the versions of a model, newest first.",
    answers={200: as_json(page_of(_VERSION))},
    errors=(404,),
)
async def list_versions(request: Request) -> Response:
    versions = gateway_of(request).catalog.versions(name_of(request))
    return JSONResponse(replicate_schemas.listing([replicate_schemas.version(version) for version in versions]))


@ROUTES.add(
    "GET",
    f"{_ONE}/versions/{{id}}",
    scope=Scope.READ,
    summary="Get a version.",
    answers={200: as_json(_VERSION)},
    errors=(404,),
)
async def get_version(request: Request) -> Response:
    version = gateway_of(request).catalog.find(request.path_params["id"], name_of(request))
    return JSONResponse(replicate_schemas.version(version))


@ROUTES.add(
    "DELETE",
    f"{_ONE}/versions/{{id}}",
    scope=Scope.ADMIN,
    summary="Delete a version; its predictions that wait or run still end, and `pilotlight gc` removes its files.",
    answers={204: EMPTY},
    errors=(404, 409),
)
async def delete_version(request: Request) -> Response:
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
                f"{model} is served from its folder, {project.project.root}, and cannot be changed: "
                "push it under another name."
            )
