"""Replicate's API for deployments, under ``/v1/deployments``; ``predictions`` has the route that runs them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pilotlight.gateway.api.errors import unprocessable
from pilotlight.gateway.api.openapi_schemas import page_of, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.pages import CURSOR, page_response
from pilotlight.gateway.api.replicate.schemas import DeploymentBody, DeploymentChanges, ShareBody
from pilotlight.gateway.api.request import gateway_of, name_of, registry_of
from pilotlight.gateway.api.routing import EMPTY, Routes, as_json
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.names import ConflictError
from pilotlight.gateway.registry.versions import LOCAL

ROUTES = Routes("Deployments")

_DEPLOYMENT = ref("Deployment")
_ONE = "/v1/deployments/{owner}/{name}"


@ROUTES.add(
    "GET",
    "/v1/deployments",
    scope=Scope.READ,
    summary="List the deployments: one for each project, and those that were created.",
    answers={200: as_json(page_of(_DEPLOYMENT))},
    errors=(400,),
    parameters=(CURSOR,),
)
async def list_deployments(request: Request) -> Response:
    deployments = [*_of_projects(request), *gateway_of(request).catalog.deployments]
    return await page_response(request, deployments, replicate_schemas.deployment, lambda one: one.deployment)


@ROUTES.add_with_body(
    "POST",
    "/v1/deployments",
    DeploymentBody,
    scope=Scope.ADMIN,
    summary="Create a deployment, as local/NAME.",
    answers={201: as_json(_DEPLOYMENT)},
    errors=(404, 409),
)
async def create_deployment(request: Request, body: DeploymentBody) -> Response:
    name = f"{LOCAL}/{body.name}"
    _refuse_projects(request, name, body.model)
    if (body.version is None) == (body.traffic is None):
        raise unprocessable("give either version, which gets all traffic, or traffic: versions with weights.")
    new = Deployment(
        deployment=name,
        model=body.model,
        traffic=_shares(body.traffic) or (Share(body.version or ""),),
        sticky=body.sticky or None,
        hardware=body.hardware,
        min_instances=body.min_instances,
        max_instances=body.max_instances,
        created_at=gateway_of(request).clock(),
    )
    await asyncio.to_thread(Deployments(registry_of(request)).create, new)
    gateway_of(request).reconcile()
    return JSONResponse(replicate_schemas.deployment(new), HTTPStatus.CREATED)


@ROUTES.add(
    "GET",
    _ONE,
    scope=Scope.READ,
    summary="Get a deployment, with its latest release.",
    answers={200: as_json(_DEPLOYMENT)},
    errors=(404,),
)
async def get_deployment(request: Request) -> Response:
    for own in _of_projects(request):
        if own.deployment == name_of(request):
            return JSONResponse(replicate_schemas.deployment(own))
    return JSONResponse(replicate_schemas.deployment(gateway_of(request).catalog.deployment(name_of(request))))


@ROUTES.add_with_body(
    "PATCH",
    _ONE,
    DeploymentChanges,
    scope=Scope.ADMIN,
    summary="Change the versions, their weights or the limits of a deployment; what is left out stays.",
    answers={200: as_json(_DEPLOYMENT)},
    errors=(404, 409),
)
async def update_deployment(request: Request, body: DeploymentChanges) -> Response:
    """Send new predictions where they belong now; those that run end on the version where they began."""
    _refuse_projects(request, name_of(request))
    changes = body.model_dump(exclude_none=True) | {"traffic": _shares(body.traffic)}
    updated = await asyncio.to_thread(
        lambda: Deployments(registry_of(request)).update(name_of(request), now=gateway_of(request).clock(), **changes)
    )
    gateway_of(request).reconcile()
    return JSONResponse(replicate_schemas.deployment(updated))


@ROUTES.add(
    "DELETE",
    _ONE,
    scope=Scope.ADMIN,
    summary="Delete a deployment; its predictions that wait or run still end.",
    answers={204: EMPTY},
    errors=(404, 409),
)
async def delete_deployment(request: Request) -> Response:
    _refuse_projects(request, name_of(request))
    await asyncio.to_thread(Deployments(registry_of(request)).delete, name_of(request))
    gateway_of(request).reconcile()
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _shares(traffic: list[ShareBody] | None) -> tuple[Share, ...]:
    return tuple(Share(one.version, one.weight) for one in traffic or ())


def _of_projects(request: Request) -> list[Deployment]:
    gateway = gateway_of(request)
    return [
        Deployment(
            deployment=one.model,
            model=one.model,
            traffic=(Share(one.id),),
            hardware=replicate_schemas.HARDWARE["sku"],
            min_instances=gateway.limits.min_workers,
            max_instances=gateway.limits.max_workers,
            created_at=one.created_at,
        )
        for one in gateway.catalog.projects
    ]


def _refuse_projects(request: Request, *names: str) -> None:
    for project in gateway_of(request).catalog.projects:
        if project.model in names:
            raise ConflictError(
                f"{project.model} is served from its folder, {project.project.root}, with the limits that this gateway "
                "was started with: push it as a model, and deploy that."
            )
