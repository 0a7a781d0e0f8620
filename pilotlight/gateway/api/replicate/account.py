"""Replicate's API for the account and its settings, and for what a gateway never has: collections and trainings."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pilotlight.gateway.api.errors import ApiError, not_found
from pilotlight.gateway.api.openapi_schemas import FREE, TEXT, list_of, page_of, record, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.pages import listing
from pilotlight.gateway.api.request import gateway_of, name_of, services_of
from pilotlight.gateway.api.routing import Routes, as_json
from pilotlight.gateway.api.tokens import Scope

ROUTES = Routes("Account")


@ROUTES.add("GET", "/v1/account", scope=Scope.READ, summary="Get the account.", answers={200: as_json(ref("Account"))})
async def account(_: Request) -> Response:
    return JSONResponse(replicate_schemas.account())


@ROUTES.add(
    "GET",
    "/v1/hardware",
    scope=Scope.READ,
    summary="List the hardware: this machine.",
    answers={200: as_json(list_of(record(sku=TEXT, name=TEXT)))},
)
async def hardware(_: Request) -> Response:
    return JSONResponse([replicate_schemas.HARDWARE])


@ROUTES.add(
    "GET",
    "/v1/webhooks/default/secret",
    scope=Scope.ADMIN,
    summary="Get the secret with which a receiver checks that a webhook comes from this gateway.",
    answers={200: as_json(record(key=TEXT))},
)
async def webhook_secret(request: Request) -> Response:
    return JSONResponse({"key": services_of(request).dispatcher.secret})


@ROUTES.add(
    "GET",
    "/v1/collections",
    scope=Scope.READ,
    summary="List collections: always none.",
    answers={200: as_json(page_of(FREE))},
)
@ROUTES.add(
    "GET",
    "/v1/trainings",
    scope=Scope.READ,
    summary="List trainings: always none.",
    answers={200: as_json(page_of(FREE))},
)
async def list_nothing(_: Request) -> Response:
    return JSONResponse(listing([]))


@ROUTES.add(
    "GET",
    "/v1/collections/{slug}",
    scope=Scope.READ,
    summary="Get a collection: always 404.",
    answers={},
    errors=(404,),
)
async def get_collection(request: Request) -> Response:
    raise not_found(f"collection {request.path_params['slug'][:140]!r}")


@ROUTES.add(
    "GET", "/v1/trainings/{id}", scope=Scope.READ, summary="Get a training: always 404.", answers={}, errors=(404,)
)
@ROUTES.add(
    "POST",
    "/v1/trainings/{id}/cancel",
    scope=Scope.PREDICT,
    summary="Cancel a training: always 404.",
    answers={},
    errors=(404,),
)
async def get_training(request: Request) -> Response:
    raise not_found(f"training {request.path_params['id'][:140]!r}")


@ROUTES.add(
    "POST",
    "/v1/models/{owner}/{name}/versions/{id}/trainings",
    scope=Scope.PREDICT,
    summary="Train a version: always refused, with the reason.",
    answers={},
    errors=(404, 422),
)
async def create_training(request: Request) -> Response:
    gateway_of(request).catalog.find(request.path_params["id"], name_of(request))
    raise ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "This gateway runs predictions only: train elsewhere, and push the result as a version with `pilotlight push`.",
        title="Training is not possible here",
    )
