"""Replicate's API for deployments, under ``/v1/deployments``; ``api`` has the predictions of them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.models import registry_of
from pilotlight.gateway.api.replicate.predictions import gateway_of, name_of
from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.names import ConflictError
from pilotlight.gateway.registry.versions import LOCAL


def routes() -> list[Route]:
    """All of them."""
    return [
        Route("/v1/deployments", list_deployments),
        Route("/v1/deployments", create_deployment, methods=["POST"]),
        Route("/v1/deployments/{owner}/{name}", get_deployment),
        Route("/v1/deployments/{owner}/{name}", update_deployment, methods=["PATCH"]),
        Route("/v1/deployments/{owner}/{name}", delete_deployment, methods=["DELETE"]),
    ]


async def list_deployments(request: Request) -> Response:
    """One of its own for each project, and those that were created."""
    deployments = [*_of_projects(request), *gateway_of(request).catalog.deployments]
    return JSONResponse(replicate_schemas.listing([replicate_schemas.deployment(one) for one in deployments]))


async def create_deployment(request: Request) -> Response:
    """Named as the caller says, under the name of whoever uses this gateway."""
    body = replicate_schemas.parse(await request.body(), replicate_schemas.DeploymentBody)
    name = f"{LOCAL}/{body.name}"
    _refuse_projects(request, name, body.model)
    new = Deployment(
        deployment=name,
        model=body.model,
        traffic=(Share(body.version),),
        hardware=body.hardware,
        min_instances=body.min_instances,
        max_instances=body.max_instances,
        created_at=gateway_of(request).clock(),
    )
    await asyncio.to_thread(Deployments(registry_of(request)).create, new)
    gateway_of(request).reconcile()
    return JSONResponse(replicate_schemas.deployment(new), HTTPStatus.CREATED)


async def get_deployment(request: Request) -> Response:
    for own in _of_projects(request):
        if own.deployment == name_of(request):
            return JSONResponse(replicate_schemas.deployment(own))
    return JSONResponse(replicate_schemas.deployment(gateway_of(request).catalog.deployment(name_of(request))))


async def update_deployment(request: Request) -> Response:
    """New predictions go to the new version at once, and the workers follow the new limits; what runs ends as it is."""
    body = replicate_schemas.parse(await request.body(), replicate_schemas.DeploymentChanges)
    _refuse_projects(request, name_of(request))
    changes = body.model_dump(exclude_none=True)
    updated = await asyncio.to_thread(
        lambda: Deployments(registry_of(request)).update(name_of(request), now=gateway_of(request).clock(), **changes)
    )
    gateway_of(request).reconcile()
    return JSONResponse(replicate_schemas.deployment(updated))


async def delete_deployment(request: Request) -> Response:
    """Its predictions that wait or run still end."""
    _refuse_projects(request, name_of(request))
    await asyncio.to_thread(Deployments(registry_of(request)).delete, name_of(request))
    gateway_of(request).reconcile()
    return Response(status_code=HTTPStatus.NO_CONTENT)


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
