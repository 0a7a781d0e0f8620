"""Running a prediction for a request: accept it, and wait for its end while the caller is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.requests import Request

from pilotlight.errors import WorkerBusyError
from pilotlight.gateway.api.errors import CLOSED, ApiError, bad_request
from pilotlight.gateway.api.replicate.headers import RequestOptions
from pilotlight.gateway.api.request import caller_of, gateway_of, services_of
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.router import Destination

T = TypeVar("T")

# Most predictions end sooner, and need no task that watches the connection.
_SOON_S = 0.05


async def accept(
    request: Request, destination: Destination, inputs: dict[str, object], *, options: RequestOptions | None = None
) -> ActivePrediction:
    """Return a new prediction.

    Raises:
        ApiError: 429 where the queue is full.
        InvalidInputError: the inputs do not fit the version.
    """
    gateway = gateway_of(request)
    version, deployment, owner = destination.version, destination.deployment, caller_of(request).owner
    try:
        if options is None:
            return await gateway.create(version, inputs, deployment=deployment, owner=owner)
        active = await gateway.create(
            version,
            inputs,
            deployment=deployment,
            owner=owner,
            prediction_id=options.prediction,
            also=options.store,
            deadline=options.cancel_at,
        )
    except WorkerBusyError as error:
        retry_after = str(gateway.pool(version, deployment).retry_after_s)
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers={"Retry-After": retry_after}) from None
    services_of(request).schedule(active, options)
    return active


async def end_of(gateway: Gateway, active: ActivePrediction) -> PredictionRecord:
    """Wait for the end of a prediction, and return it; cancelling the wait cancels the prediction."""
    try:
        await active.wait_ended()
    except asyncio.CancelledError:
        gateway.leave(active)
        raise
    return active.record


async def end_for(request: Request, gateway: Gateway, active: ActivePrediction) -> PredictionRecord:
    """Wait as ``end_of`` does; the caller cancels the prediction by closing the connection."""
    leaving: asyncio.Task[None] | None = None

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.create_task(_disconnected(request))
        leaving.add_done_callback(lambda task: None if task.cancelled() else gateway.leave(active))

    timer = asyncio.get_running_loop().call_later(_SOON_S, watch)
    try:
        return await end_of(gateway, active)
    finally:
        timer.cancel()
        if leaving is not None:
            leaving.cancel()


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; closing the connection cancels it.

    Raises:
        ApiError: the caller has closed the connection; nobody reads this.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise bad_request(CLOSED)
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
