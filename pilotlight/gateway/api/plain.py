"""Plain routes for the first project, or for the only model where there is no project; health and metrics."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pilotlight.errors import PilotlightError, WorkerBusyError
from pilotlight.gateway.api.errors import ApiError, unprocessable
from pilotlight.gateway.api.openapi_schemas import list_of, record, ref
from pilotlight.gateway.api.replicate.schemas import BatchBody, PlainBody
from pilotlight.gateway.api.request import caller_of, gateway_of
from pilotlight.gateway.api.routing import OPEN, PLAIN, Routes, as_json
from pilotlight.gateway.api.run import accept, end_for, end_of, while_connected
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.metrics import CONTENT_TYPE
from pilotlight.gateway.scheduler.router import Default
from pilotlight.runtime.schema.validation import InvalidInputError
from pilotlight.types import Status

ROUTES = Routes("Plain routes")

# The answer is held in memory until the last item has ended.
_MOST_ITEMS = 1000


_HEALTH = as_json(ref("Health"))


@ROUTES.add(
    "GET",
    "/openai/health",
    scope=OPEN,
    summary="Answer as /health; benchmarks look here that are given /openai as their target.",
    answers={200: _HEALTH, 503: _HEALTH},
    errors=(404,),
)
@ROUTES.add(
    "GET",
    "/health",
    scope=OPEN,
    summary="Answer 200 while a prediction would be served, else 503.",
    answers={200: _HEALTH, 503: _HEALTH},
    errors=(404,),
)
async def health(request: Request) -> Response:
    """200 while a prediction would be served: by a worker that is ready, or after a cold start where none runs.

    503 while the first worker starts, after workers could not be started, with nothing to serve, and while the gateway
    ends. Of several pushed models it tells how they stand together. Anyone may ask, so the answer is one word: numbers
    and the error of a failed setup are in ``/status``, what the setup printed in ``/logs``.
    """
    gateway = gateway_of(request)
    versions = gateway.catalog.projects[:1] or gateway.catalog.current
    # Where models are served, which come and go, one that cannot start says so to its own callers.
    pool = gateway.pool(versions[0]) if len(versions) == 1 else None
    gauges = gateway.gauges() if pool is None else pool.gauges
    state = "ready" if gauges.ready_workers else "starting" if gauges.starting_workers else "idle"
    if gateway.closing:
        state = "stopping"
    elif not versions:
        state = "empty"
    elif pool is not None and pool.last_error is not None:
        state = "crash-looping"
    well = state in ("ready", "idle")
    return JSONResponse({"status": state}, HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)


@ROUTES.add_with_body(
    "POST",
    "/predict",
    PlainBody,
    scope=Scope.PREDICT,
    summary="Run one prediction of the first project, and answer when it has ended.",
    answers={200: as_json(ref("PlainPrediction")), 422: as_json(ref("Mistakes"))},
    errors=(404,),
)
async def predict(request: Request, body: PlainBody) -> Response:
    """Answer as a Cog server does; closing the connection cancels the prediction."""
    destination = gateway_of(request).route(Default())
    try:
        active = await accept(request, destination, body.input or {})
    except InvalidInputError as error:
        detail = [mistake.detail for mistake in error.mistakes]
        return JSONResponse({"detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)
    record = await end_for(request, gateway_of(request), active)
    if not record.status.terminal:
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"The gateway is stopping. Prediction {record.id} runs when the gateway is started again.",
        )
    return JSONResponse(_item(record))


@ROUTES.add_with_body(
    "POST",
    "/predict/batch",
    BatchBody,
    scope=Scope.PREDICT,
    summary="Run a list of inputs, and answer with a list in the same order; a wrong or failed item fails alone.",
    answers={200: as_json(record(predictions=list_of(ref("PlainPrediction"))))},
    errors=(404,),
)
async def predict_batch(request: Request, body: BatchBody) -> Response:
    """Run the items as the queue has room for them; closing the connection cancels those that have not ended."""
    if len(body.inputs) > _MOST_ITEMS:
        raise unprocessable(f"inputs has {len(body.inputs)} items: send up to {_MOST_ITEMS} in one request.")
    items = await while_connected(request, _run_all(gateway_of(request), body.inputs, caller_of(request).owner))
    return JSONResponse({"predictions": items})


@ROUTES.add(
    "GET",
    "/openai/metrics",
    scope=Scope.READ,
    summary="Answer as /metrics; benchmarks look here that are given /openai as their target.",
    answers={200: PLAIN},
)
@ROUTES.add(
    "GET", "/metrics", scope=Scope.READ, summary="Show the metrics of all models for Prometheus.", answers={200: PLAIN}
)
async def show_metrics(request: Request) -> Response:
    return Response(gateway_of(request).metrics.exposition(), media_type=CONTENT_TYPE)


async def _run_all(gateway: Gateway, inputs: list[Any], owner: str | None) -> list[dict[str, Any]]:
    version = gateway.route(Default()).version
    # As many at once as the queue holds.
    together = asyncio.Semaphore(gateway.pool(version).limits.max_waiting)

    async def run(one: Any) -> dict[str, Any]:
        async with together:
            try:
                return _item(await end_of(gateway, await _accept_item(gateway, version, one, owner)))
            except (PilotlightError, ApiError) as error:
                return _failed_item(error)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(one)) for one in inputs]
    return [task.result() for task in tasks]


async def _accept_item(gateway: Gateway, version: Version, item: Any, owner: str | None) -> ActivePrediction:
    if not isinstance(item, dict):
        raise unprocessable(f"An item of inputs has to be an object, not {json.dumps(item)[:80]}.")
    while True:
        try:
            return await _create(gateway, version, item, owner)
        except WorkerBusyError:
            await gateway.pool(version).wait_room()


async def _create(gateway: Gateway, version: Version, inputs: dict[str, Any], owner: str | None) -> ActivePrediction:
    """Create a prediction; where this is cancelled meanwhile, so is the prediction."""
    accepting = asyncio.ensure_future(gateway.create(version, inputs, owner=owner))
    try:
        return await asyncio.shield(accepting)
    except asyncio.CancelledError:
        accepting.add_done_callback(lambda done: _leave(gateway, done))
        raise


def _leave(gateway: Gateway, accepted: asyncio.Future[ActivePrediction]) -> None:
    if not accepted.cancelled() and accepted.exception() is None:
        gateway.leave(accepted.result())


def _failed_item(error: Exception) -> dict[str, Any]:
    """Return the item for inputs that were not accepted as a prediction."""
    item: dict[str, Any] = {
        "id": None,
        "status": Status.FAILED,
        "output": None,
        "error": str(error),
        "logs": "",
        "metrics": {},
    }
    if isinstance(error, InvalidInputError):
        item["detail"] = [mistake.detail for mistake in error.mistakes]
    return item


def _item(record: PredictionRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "status": record.status,
        "output": record.output,
        "error": record.error,
        "logs": record.logs,
        "metrics": record.metrics,
    }
