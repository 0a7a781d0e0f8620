"""Replicate's API for models and their versions, under ``/v1/models``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pilotlight.gateway.api.errors import bad_request, not_found
from pilotlight.gateway.api.openapi_schemas import FREE, page_of, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.pages import CURSOR, listing, page_response
from pilotlight.gateway.api.replicate.schemas import LONGEST_README, ModelBody, ModelChanges
from pilotlight.gateway.api.request import base_of, gateway_of, name_of, registry_of
from pilotlight.gateway.api.routing import EMPTY, PLAIN, Routes, as_json
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.registry.names import ConflictError
from pilotlight.gateway.registry.registry import Model
from pilotlight.gateway.scheduler.gateway import Gateway

ROUTES = Routes("Models")

_MODEL, _VERSION = ref("Model"), ref("Version")
_ONE = "/v1/models/{owner}/{name}"


# By name, what gives the key of a model, from when each model's latest version was created.
SORTS: dict[str, Callable[[Mapping[str, float]], Callable[[Model], float]]] = {
    "model_created_at": lambda _: lambda model: model.created_at,
    "latest_version_created_at": lambda latest: lambda model: latest.get(model.model, -math.inf),
}

_SORT_BY = {
    "name": "sort_by",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "enum": list(SORTS)},
    "description": "What the models are sorted by; by default when the latest version was created.",
}
_SORT_DIRECTION = {
    "name": "sort_direction",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "enum": ["asc", "desc"]},
    "description": "`asc` for the oldest first; by default the newest.",
}


@ROUTES.add(
    "GET",
    "/v1/models",
    scope=Scope.READ,
    summary="List the models that are served, in pages.",
    answers={200: as_json(page_of(_MODEL))},
    errors=(400,),
    parameters=(_SORT_BY, _SORT_DIRECTION, CURSOR),
)
async def list_models(request: Request) -> Response:
    sort_by = request.query_params.get("sort_by", "latest_version_created_at")
    direction = request.query_params.get("sort_direction", "desc")
    if sort_by not in SORTS or direction not in ("asc", "desc"):
        raise bad_request(f"sort_by is one of {', '.join(SORTS)}, and sort_direction asc or desc.")
    catalog = gateway_of(request).catalog
    latest = {version.model: version.created_at for version in catalog.current}
    models = sorted(catalog.models, key=SORTS[sort_by](latest), reverse=direction == "desc")
    return await page_response(request, models, lambda one: _shown(request, one), lambda one: one.model)


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


@ROUTES.add_with_body(
    "PATCH",
    _ONE,
    ModelChanges,
    scope=Scope.ADMIN,
    summary="Change the description, the README and the links of a model; what is left out stays.",
    answers={200: as_json(_MODEL)},
    errors=(404, 409),
)
async def update_model(request: Request, body: ModelChanges) -> Response:
    _refuse_project(gateway_of(request), name_of(request))
    changes = body.model_dump(exclude_unset=True)
    changed = await asyncio.to_thread(registry_of(request).update_model, name_of(request), changes)
    return JSONResponse(await _shown(request, changed))


@ROUTES.add(
    "GET",
    f"{_ONE}/readme",
    scope=Scope.READ,
    summary="Get the README of a model: what it was given, or README.md of its latest version.",
    answers={200: PLAIN},
    errors=(404,),
)
async def get_readme(request: Request) -> Response:
    catalog = gateway_of(request).catalog
    model = catalog.model(name_of(request))
    readme = model.readme
    if readme is None and model.current is not None:
        version = catalog.find(model.current, model.model)
        readme = await asyncio.to_thread(_read_readme, version.project.root)
    if readme is None:
        raise not_found(f"README of {model.model}")
    return PlainTextResponse(readme)


@ROUTES.add(
    "GET",
    f"{_ONE}/examples",
    scope=Scope.READ,
    summary="List the examples of a model: always none.",
    answers={200: as_json(page_of(FREE))},
    errors=(404,),
)
async def list_examples(request: Request) -> Response:
    gateway_of(request).catalog.model(name_of(request))
    return JSONResponse(listing([]))


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
    errors=(400, 404),
    parameters=(CURSOR,),
)
async def list_versions(request: Request) -> Response:
    versions = gateway_of(request).catalog.versions(name_of(request))
    return await page_response(request, versions, replicate_schemas.version, lambda version: version.id)


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
    return await shown_model(gateway_of(request), model, base_of(request))


async def shown_model(gateway: Gateway, model: Model, base: str) -> dict[str, object]:
    """Return a model as it is shown, to a caller who reaches the gateway at ``base``."""
    latest = None if model.current is None else gateway.catalog.find(model.current, model.model)
    return replicate_schemas.model(model, latest, base, await gateway.store.count(model.model))


def _read_readme(folder: Path) -> str | None:
    """Return the text of README.md in a folder, as far as it is sent; ``None`` where there is none."""
    try:
        with (folder / "README.md").open("rb") as file:
            return file.read(LONGEST_README).decode(errors="replace")
    except OSError:
        return None


def _refuse_project(gateway: Gateway, model: str) -> None:
    for project in gateway.catalog.projects:
        if project.model == model:
            raise ConflictError(
                f"{model} is served from its folder, {project.project.root}, and cannot be changed: "
                "push it under another name."
            )
