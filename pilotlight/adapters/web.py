"""The common part of platforms that send HTTP requests to a container: health, predictions, streams."""

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
    """A prediction did not succeed; ``status`` is the HTTP status of the response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def predict(host: Host, inputs: Mapping[str, Any]) -> Any:
    """Run one prediction and return its output, with the chunks of a text joined.

    Raises:
        PredictionError: the prediction did not succeed.
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
    """Return the result of ``work``; cancel it if the caller disconnects.

    Raises:
        PredictionError: the caller has disconnected.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise PredictionError("the caller has disconnected", 499)
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait([working, leaving])


async def _until_gone(request: Request) -> None:
    """Return when the connection is closed. Call it only after the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def streamed(
    request: Request,
    host: Host,
    inputs: Mapping[str, Any],
    encode: Callable[[Output | Completed], bytes],
    media_type: str,
) -> Response:
    """Return a streaming response with a prediction's outputs and end; a refusal is raised before any output.

    If the caller disconnects, the prediction is cancelled, whether it is waiting, starting or running.

    Raises:
        PredictionError: the prediction cannot begin, or the caller has disconnected.
    """
    events = host.stream(inputs, new_prediction_id())
    try:
        first = await while_asked(request, next_event(events))
    except PilotlightError as error:
        raise as_prediction_error(error) from error
    # If the caller has disconnected by now, no chunk is requested, and nothing else would close the events.
    closing = BackgroundTask(events.aclose)
    return StreamingResponse(_encoded(first, events, encode), media_type=media_type, background=closing)


async def next_event(events: AsyncGenerator[Event, None]) -> Event:
    """Await ``anext`` as a coroutine, from which a task can be created."""
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
    """Return a stream's final object: all fields of the prediction but the output, which has been sent."""
    return {
        "status": prediction.status,
        "error": prediction.error,
        "logs": prediction.logs,
        "metrics": prediction.metrics,
        # A list that was returned as a whole is also sent in chunks.
        "iterates": host.iterates or isinstance(prediction.output, list),
    }


def as_prediction_error(error: PilotlightError) -> PredictionError:
    """Convert an error that kept a prediction from running, with its HTTP status."""
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
    """Return the JSON in a request's body.

    Raises:
        PredictionError: the body is not JSON.
    """
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"the body is not JSON: {error}", 400) from error


def require_object(value: Any, what: str) -> dict[str, Any]:
    """Return ``value``, an object of inputs by name, without the keys whose value is null.

    Raises:
        PredictionError: ``value`` is not an object.
    """
    if not isinstance(value, dict):
        raise PredictionError(f'{what} must be an object of inputs by name, such as {{"prompt": "hello"}}', 400)
    return {name: one for name, one in value.items() if one is not None}


async def answer_error(_: Request, error: Exception) -> Response:
    """Handle exceptions of every route."""
    status = error.status if isinstance(error, PredictionError) else 500
    return JSONResponse({"error": str(error)}, status)


def health(host: Host) -> Response:
    """Return 200 while a prediction would run, else 503."""
    return JSONResponse({"ready": host.ready}, 200 if host.ready else 503)


def run(app: Starlette, address: str, port: int, grace_s: float) -> int:
    """Serve ``app`` until SIGTERM (returns 0) or Ctrl-C (130); running requests get ``grace_s`` seconds to finish."""
    return asyncio.run(_run(app, address, port, grace_s))


async def _run(app: Starlette, address: str, port: int, grace_s: float) -> int:
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    async with serving(app, listen(address, port), grace_s=grace_s):
        received = await signals.get()
    return 130 if received is signal.SIGINT else 0
