"""What the platforms that speak HTTP to a container have in common: health, one prediction, a stream of one."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pilotlight.adapters.hosting import Host
from pilotlight.errors import InputError, PilotlightError, WorkerBusyError
from pilotlight.runtime import Completed, Event, Output, new_prediction_id
from pilotlight.runtime.http.listening import listen, serving
from pilotlight.types import Prediction, Status

T = TypeVar("T")


class PredictionError(Exception):
    """A prediction did not succeed; ``status`` is HTTP's word for why."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def predict(host: Host, inputs: Mapping[str, Any]) -> Any:
    """The output of one prediction, with the chunks of a text joined.

    Raises:
        PredictionError: it did not succeed.
    """
    prediction: Prediction | None = None
    try:
        async with aclosing(host.stream(inputs, new_prediction_id())) as events:
            async for event in events:
                if isinstance(event, Completed):
                    prediction = event.prediction
    except PilotlightError as error:
        raise as_prediction_error(error) from error
    return _output(host, prediction)


async def while_asked(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns. A caller who hangs up cancels it: nobody would read the answer.

    Raises:
        PredictionError: the caller has gone.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise PredictionError("the caller has gone", 499)
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait([working, leaving])


async def _until_gone(request: Request) -> None:
    """Returns when the connection is closed; to be called once the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def streamed(
    request: Request,
    host: Host,
    inputs: Mapping[str, Any],
    encode: Callable[[Output | Completed], bytes],
    media_type: str,
) -> Response:
    """The outputs of one prediction and its end, streaming; a refusal is sent before any output.

    A caller who hangs up cancels it, whether it waits, begins or runs.

    Raises:
        PredictionError: it cannot begin, or the caller has gone.
    """
    events = host.stream(inputs, new_prediction_id())
    try:
        first = await while_asked(request, next_event(events))
    except PilotlightError as error:
        raise as_prediction_error(error) from error
    # Of a caller who has gone by now not even the first piece is asked for, and nothing else would close the events.
    closing = BackgroundTask(events.aclose)
    return StreamingResponse(_encoded(first, events, encode), media_type=media_type, background=closing)


async def next_event(events: AsyncGenerator[Event, None]) -> Event:
    """``anext`` as a coroutine, which a task can be made of."""
    return await anext(events)


async def _encoded(
    first: Event, events: AsyncGenerator[Event, None], encode: Callable[[Output | Completed], bytes]
) -> AsyncGenerator[bytes, None]:
    if isinstance(first, Output | Completed):
        yield encode(first)
    try:
        async for event in events:
            if isinstance(event, Output | Completed):
                yield encode(event)
    except PilotlightError as error:
        yield encode(Completed(Prediction("", Status.FAILED, error=str(error))))


def ending(host: Host, prediction: Prediction) -> dict[str, Any]:
    """How a stream ends: all of a prediction but the output, which has been sent."""
    return {
        "status": prediction.status,
        "error": prediction.error,
        "logs": prediction.logs,
        "metrics": prediction.metrics,
        # A list that was returned whole arrives in pieces, too.
        "iterates": host.iterates or isinstance(prediction.output, list),
    }


def as_prediction_error(error: PilotlightError) -> PredictionError:
    """Whatever kept a prediction from running, with HTTP's word for it."""
    if isinstance(error, InputError):
        return PredictionError(str(error), 422)
    return PredictionError(str(error), 429 if isinstance(error, WorkerBusyError) else 500)


def _output(host: Host, prediction: Prediction | None) -> Any:
    if prediction is None or prediction.status is Status.CANCELED:
        raise PredictionError("the prediction was cancelled", 500)
    if prediction.status is Status.FAILED:
        raise PredictionError(prediction.error or "the prediction failed without a message", 500)
    if host.concatenates and isinstance(prediction.output, list):
        return "".join(prediction.output)
    return prediction.output


async def body_of(request: Request) -> Any:
    """The JSON of a request.

    Raises:
        PredictionError: it is none.
    """
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"the body is not JSON: {error}", 400) from error


def require_object(value: Any, what: str) -> dict[str, Any]:
    """``value``, an object of inputs by name, without what is null.

    Raises:
        PredictionError: it is something else.
    """
    if not isinstance(value, dict):
        raise PredictionError(f'{what} has to be an object of inputs by name, such as {{"prompt": "hello"}}', 400)
    return {name: one for name, one in value.items() if one is not None}


async def answer_error(_: Request, error: Exception) -> Response:
    """The exception handler of every route."""
    status = error.status if isinstance(error, PredictionError) else 500
    return JSONResponse({"error": str(error)}, status)


def health(host: Host) -> Response:
    """200 only while a prediction would run."""
    return JSONResponse({"ready": host.ready}, 200 if host.ready else 503)


def run(app: Starlette, address: str, port: int, grace_s: float) -> int:
    """Serves ``app`` until SIGTERM (status 0) or Ctrl-C (130); requests that run may go on for ``grace_s``."""
    return asyncio.run(_run(app, address, port, grace_s))


async def _run(app: Starlette, address: str, port: int, grace_s: float) -> int:
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    async with serving(app, listen(address, port), grace_s=grace_s):
        received = await signals.get()
    return 130 if received is signal.SIGINT else 0
