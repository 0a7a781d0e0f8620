"""Replicate's HTTP API, under ``/v1``."""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pilotlight.errors import WorkerBusyError
from pilotlight.gateway import sse
from pilotlight.gateway.api.context import BackgroundServices
from pilotlight.gateway.api.errors import ProblemError, not_found
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.headers import RequestOptions, read_cancel_after, read_wait, read_webhook
from pilotlight.gateway.egress.addresses import RefusedUrlError
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.active import ActivePrediction, replayed
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.runtime import new_prediction_id

# As many as Replicate gives.
_PAGE = 100


def routes() -> list[Route]:
    """All of them; the app's ``state.gateway`` does the work."""
    return [
        Route("/v1/models/{owner}/{name}/predictions", create_by_model, methods=["POST"]),
        Route("/v1/deployments/{owner}/{name}/predictions", create_by_deployment, methods=["POST"]),
        Route("/v1/predictions", create_by_version, methods=["POST"]),
        Route("/v1/predictions", list_predictions),
        Route("/v1/predictions/{id}", get_prediction),
        Route("/v1/predictions/{id}/cancel", cancel_prediction, methods=["POST"]),
        Route("/v1/predictions/{id}/stream/{key}", stream_prediction),
    ]


def gateway_of(request: Request) -> Gateway:
    """The gateway behind the app."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def extras_of(request: Request) -> BackgroundServices:
    """What the gateway does beside predictions."""
    services: BackgroundServices = request.app.state.services
    return services


def base_of(request: Request) -> str:
    """Where this caller reaches the gateway, so that the URLs in the answer work for them."""
    return str(request.base_url).rstrip("/")


async def create_by_version(request: Request) -> Response:
    """``version`` is an id, ``owner/name:id``, or ``owner/name``."""
    body = replicate_schemas.parse(await request.body(), replicate_schemas.PredictionBody)
    if body.version is None:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "version is required: give an id, or owner/name:id.")
    catalog = gateway_of(request).catalog
    ref, colon, version_id = body.version.rpartition(":")
    by_name = "/" in body.version and not colon
    version = catalog.latest(body.version) if by_name else catalog.find(version_id, ref or None)
    return await _create(request, version, body)


async def create_by_model(request: Request) -> Response:
    version = gateway_of(request).catalog.latest(name_of(request))
    return await _create_unversioned(request, version, deployment=None)


async def create_by_deployment(request: Request) -> Response:
    version = gateway_of(request).catalog.deployed(name_of(request))
    return await _create_unversioned(request, version, deployment=name_of(request))


async def get_prediction(request: Request) -> Response:
    record = await gateway_of(request).find(request.path_params["id"])
    return _answer(request, record)


async def cancel_prediction(request: Request) -> Response:
    record = await gateway_of(request).cancel(request.path_params["id"])
    return _answer(request, record)


async def list_predictions(request: Request) -> Response:
    cursor = request.query_params.get("cursor")
    page = await gateway_of(request).page(_PAGE, **replicate_schemas.read_cursor(cursor) if cursor else {})
    return JSONResponse(replicate_schemas.prediction_page(page, base_of(request)))


async def stream_prediction(request: Request) -> Response:
    """Its output from the beginning, as it comes; for whoever has the URL."""
    gateway = gateway_of(request)
    record = await gateway.find(request.path_params["id"])
    key = request.path_params["key"].encode()
    if record is None or not hmac.compare_digest(record.stream_key.encode(), key):
        raise not_found("such stream")
    live = gateway.active(record.id)
    events = _replay(record) if live is None else _follow(live)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def accept(
    request: Request,
    version: Version,
    inputs: dict[str, object],
    *,
    deployment: str | None,
    options: RequestOptions | None = None,
) -> ActivePrediction:
    """A new prediction; 429 when too many are waiting."""
    gateway = gateway_of(request)
    try:
        if options is None:
            return await gateway.create(version, inputs, deployment=deployment)
        live = await gateway.create(
            version, inputs, deployment=deployment, prediction_id=options.prediction, also=options.store
        )
    except WorkerBusyError as error:
        retry_after = str(gateway.pool(version, deployment).retry_after_s)
        raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers={"Retry-After": retry_after}) from None
    extras_of(request).schedule(live, options)
    return live


async def _create_unversioned(request: Request, version: Version, *, deployment: str | None) -> Response:
    body = replicate_schemas.parse(await request.body(), replicate_schemas.PredictionBody)
    if body.version is not None:
        what = "model" if deployment is None else "deployment"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"This URL names a {what}: leave version out.")
    return await _create(request, version, body, deployment=deployment)


async def _create(
    request: Request, version: Version, body: replicate_schemas.PredictionBody, *, deployment: str | None = None
) -> Response:
    wait_s = read_wait(request.headers.get("prefer"))
    options = _options_of(request, body)
    live = await accept(request, version, body.input or {}, deployment=deployment, options=options)
    ended = wait_s is not None and await live.wait_ended(wait_s)
    shown = replicate_schemas.prediction(live.record, base_of(request), hide_progress=True)
    status = HTTPStatus.CREATED if ended or wait_s is None else HTTPStatus.ACCEPTED
    return JSONResponse(shown, status)


def _options_of(request: Request, body: replicate_schemas.PredictionBody) -> RequestOptions | None:
    """What is to be done about the prediction beside running it; mostly nothing."""
    after_s = read_cancel_after(request.headers.get("cancel-after"))
    url, events = read_webhook(body)
    if url is None and after_s is None:
        return None
    prediction = new_prediction_id()
    hook = None
    if url is not None:
        try:
            hook = extras_of(request).dispatcher.hook(prediction, url, events, base_of(request))
        except RefusedUrlError as error:
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"webhook: {error}") from None
    return RequestOptions(prediction, hook, None if after_s is None else gateway_of(request).clock() + after_s)


def name_of(request: Request) -> str:
    """The ``owner/name`` in the URL."""
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def _answer(request: Request, record: PredictionRecord | None) -> Response:
    if record is None:
        raise not_found(f"prediction {request.path_params['id'][:140]!r}")
    return JSONResponse(replicate_schemas.prediction(record, base_of(request)))


async def _replay(record: PredictionRecord) -> AsyncGenerator[bytes, None]:
    for number, event in enumerate(replayed(record)):
        yield sse.encode(event, f"{int(record.created_at)}:{number}")


async def _follow(live: ActivePrediction) -> AsyncGenerator[bytes, None]:
    number = 0
    async with aclosing(live.follow()) as events:
        async for event in events:
            if event is None:
                yield sse.PING
            else:
                yield sse.encode(event, f"{int(live.record.created_at)}:{number}")
                number += 1
