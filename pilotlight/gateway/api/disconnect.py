"""Waiting for a prediction on behalf of a caller, who may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.requests import Request

from pilotlight.gateway.api.errors import ProblemError
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway

T = TypeVar("T")

_SOON_S = 0.05


async def end_of(gateway: Gateway, live: ActivePrediction) -> PredictionRecord:
    """Waits for its end; whoever stops waiting cancels it."""
    try:
        await live.wait_ended()
    except asyncio.CancelledError:
        gateway.leave(live)
        raise
    return live.record


async def end_for(request: Request, gateway: Gateway, live: ActivePrediction) -> PredictionRecord:
    """As ``end_of``, on behalf of a caller, who cancels it by closing the connection."""
    leaving: asyncio.Task[None] | None = None

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.create_task(_left(request))
        leaving.add_done_callback(lambda task: None if task.cancelled() else gateway.leave(live))

    # Most predictions end before a task that watches the connection is worth its time.
    timer = asyncio.get_running_loop().call_later(_SOON_S, watch)
    try:
        return await end_of(gateway, live)
    finally:
        timer.cancel()
        if leaving is not None:
            leaving.cancel()


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns; it is cancelled when the caller closes the connection.

    Raises:
        ProblemError: the caller has gone, and will not read this.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ProblemError(HTTPStatus.BAD_REQUEST, "The caller has closed the connection.")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
