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
from pilotlight.gateway import sse, wire
from pilotlight.gateway.gateway import Gateway
from pilotlight.gateway.live import Live, replayed
from pilotlight.gateway.problems import ProblemError, not_found
from pilotlight.gateway.states import Record
from pilotlight.gateway.versions import Version

# As many as Replicate gives.
_PAGE = 100


def routes() -> list[Route]:
    """All of them; the app's ``state.gateway`` does the work."""
    return [
        Route("/v1/account", account),
        Route("/v1/hardware", hardware),
        Route("/v1/predictions", list_predictions),
        Route("/v1/predictions", create_by_version, methods=["POST"]),
        Route("/v1/predictions/{id}", get_prediction),
        Route("/v1/predictions/{id}/cancel", cancel_prediction, methods=["POST"]),
        Route("/v1/predictions/{id}/stream/{key}", stream_prediction),
        Route("/v1/models", list_models),
        Route("/v1/models/{owner}/{name}", get_model),
        Route("/v1/models/{owner}/{name}/predictions", create_by_model, methods=["POST"]),
        Route("/v1/models/{owner}/{name}/versions", list_versions),
        Route("/v1/models/{owner}/{name}/versions/{id}", get_version),
        Route("/v1/deployments", list_deployments),
        Route("/v1/deployments/{owner}/{name}", get_deployment),
        Route("/v1/deployments/{owner}/{name}/predictions", create_by_deployment, methods=["POST"]),
    ]


def gateway_of(request: Request) -> Gateway:
    """The gateway behind the app."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def base_of(request: Request) -> str:
    """Where this caller reaches the gateway, so that the URLs in the answer work for them."""
    return str(request.base_url).rstrip("/")


async def account(_: Request) -> Response:
    return JSONResponse(wire.account())


async def hardware(_: Request) -> Response:
    return JSONResponse([wire.HARDWARE])


async def create_by_version(request: Request) -> Response:
    """``version`` is an id, ``owner/name:id``, or ``owner/name``."""
    body = await _body(request)
    if body.version is None:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "version is required: give an id, or owner/name:id.")
    ref, _, version_id = body.version.rpartition(":")
    for version in gateway_of(request).versions:
        if body.version == version.model or (version_id == version.id and ref in ("", version.model)):
            return await _create(request, version, body)
    raise not_found(f"version {body.version[:140]!r}")


async def create_by_model(request: Request) -> Response:
    return await _create_unversioned(request, "model")


async def create_by_deployment(request: Request) -> Response:
    return await _create_unversioned(request, "deployment")


async def get_prediction(request: Request) -> Response:
    record = await gateway_of(request).find(request.path_params["id"])
    return _answer(request, record)


async def cancel_prediction(request: Request) -> Response:
    record = await gateway_of(request).cancel(request.path_params["id"])
    return _answer(request, record)


async def list_predictions(request: Request) -> Response:
    cursor = request.query_params.get("cursor")
    page = await gateway_of(request).page(_PAGE, **wire.read_cursor(cursor) if cursor else {})
    return JSONResponse(wire.prediction_page(page, base_of(request)))


async def stream_prediction(request: Request) -> Response:
    """Its output from the beginning, as it comes; for whoever has the URL."""
    gateway = gateway_of(request)
    record = await gateway.find(request.path_params["id"])
    key = request.path_params["key"].encode()
    if record is None or not hmac.compare_digest(record.stream_key.encode(), key):
        raise not_found("such stream")
    live = gateway.live(record.id)
    events = _replay(record) if live is None else _follow(live)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def list_models(request: Request) -> Response:
    gateway = gateway_of(request)
    counts = [await gateway.store.count(version.model) for version in gateway.versions]
    base = base_of(request)
    models = [wire.model(version, base, count) for version, count in zip(gateway.versions, counts, strict=True)]
    return JSONResponse(wire.listing(models))


async def get_model(request: Request) -> Response:
    version = _named(request, "model")
    count = await gateway_of(request).store.count(version.model)
    return JSONResponse(wire.model(version, base_of(request), count))


async def list_versions(request: Request) -> Response:
    return JSONResponse(wire.listing([wire.version(_named(request, "model"))]))


async def get_version(request: Request) -> Response:
    version = _named(request, "model")
    if version.id != request.path_params["id"]:
        raise not_found(f"version {request.path_params['id'][:140]!r} of {version.model}")
    return JSONResponse(wire.version(version))


async def list_deployments(request: Request) -> Response:
    versions = gateway_of(request).versions
    return JSONResponse(wire.listing([_deployment(request, version) for version in versions]))


async def get_deployment(request: Request) -> Response:
    return JSONResponse(_deployment(request, _named(request, "deployment")))


async def accept(request: Request, version: Version, inputs: dict[str, object], *, deployment: str | None) -> Live:
    """A new prediction; 429 when too many are waiting."""
    gateway = gateway_of(request)
    try:
        return await gateway.create(version, inputs, deployment=deployment)
    except WorkerBusyError as error:
        retry_after = str(gateway.pool(version).retry_after_s)
        raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers={"Retry-After": retry_after}) from None


async def _create_unversioned(request: Request, what: str) -> Response:
    version = _named(request, what)
    body = await _body(request)
    if body.version is not None:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"This URL names a {what}: leave version out.")
    return await _create(request, version, body, deployment=version.model if what == "deployment" else None)


async def _create(
    request: Request, version: Version, body: wire.PredictionBody, *, deployment: str | None = None
) -> Response:
    wait_s = wire.read_wait(request.headers.get("prefer"))
    live = await accept(request, version, body.input or {}, deployment=deployment)
    ended = wait_s is not None and await live.wait_ended(wait_s)
    shown = wire.prediction(live.record, base_of(request), hide_progress=True)
    status = HTTPStatus.CREATED if ended or wait_s is None else HTTPStatus.ACCEPTED
    return JSONResponse(shown, status)


async def _body(request: Request) -> wire.PredictionBody:
    body = wire.parse(await request.body(), wire.PredictionBody)
    if body.webhook or body.webhook_completed or body.webhook_events_filter:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "This gateway sends no webhooks: leave them out, and wait or poll."
        )
    return body


def _named(request: Request, what: str) -> Version:
    name = f"{request.path_params['owner']}/{request.path_params['name']}"
    for version in gateway_of(request).versions:
        if version.model == name:
            return version
    raise not_found(f"{what} {name[:140]!r}")


def _deployment(request: Request, version: Version) -> dict[str, object]:
    limits = gateway_of(request).pool(version).limits
    return wire.deployment(version, limits.min_workers, limits.max_workers)


def _answer(request: Request, record: Record | None) -> Response:
    if record is None:
        raise not_found(f"prediction {request.path_params['id'][:140]!r}")
    return JSONResponse(wire.prediction(record, base_of(request)))


async def _replay(record: Record) -> AsyncGenerator[bytes, None]:
    for number, event in enumerate(replayed(record)):
        yield sse.encode(event, f"{int(record.created_at)}:{number}")


async def _follow(live: Live) -> AsyncGenerator[bytes, None]:
    number = 0
    async with aclosing(live.follow()) as events:
        async for event in events:
            if event is None:
                yield sse.PING
            else:
                yield sse.encode(event, f"{int(live.record.created_at)}:{number}")
                number += 1
