"""Replicate's API for the account and its settings, and for what is not here: collections and trainings."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilotlight.gateway.api.errors import ProblemError, not_found
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.predictions import extras_of, gateway_of, name_of


def routes() -> list[Route]:
    """All of them."""
    return [
        Route("/v1/account", account),
        Route("/v1/hardware", hardware),
        Route("/v1/webhooks/default/secret", webhook_secret),
        Route("/v1/collections", list_nothing),
        Route("/v1/collections/{slug}", get_collection),
        Route("/v1/trainings", list_nothing),
        Route("/v1/trainings/{id}", get_training),
        Route("/v1/trainings/{id}/cancel", get_training, methods=["POST"]),
        Route("/v1/models/{owner}/{name}/versions/{id}/trainings", create_training, methods=["POST"]),
    ]


async def account(_: Request) -> Response:
    return JSONResponse(replicate_schemas.account())


async def hardware(_: Request) -> Response:
    return JSONResponse([replicate_schemas.HARDWARE])


async def webhook_secret(request: Request) -> Response:
    """By which a receiver checks that a webhook comes from here."""
    return JSONResponse({"key": extras_of(request).dispatcher.secret})


async def list_nothing(_: Request) -> Response:
    """There are none, and there will be none."""
    return JSONResponse(replicate_schemas.listing([]))


async def get_collection(request: Request) -> Response:
    raise not_found(f"collection {request.path_params['slug'][:140]!r}")


async def get_training(request: Request) -> Response:
    raise not_found(f"training {request.path_params['id'][:140]!r}")


async def create_training(request: Request) -> Response:
    """Says why not; of a version that is not here, that it is not."""
    gateway_of(request).catalog.find(request.path_params["id"], name_of(request))
    raise ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "This gateway runs predictions and trains nothing: train elsewhere, and push the result as a version.",
        title="Training is not possible here",
    )
