"""Cog's HTTP API in front of any ``PredictionBackend``, so that clients of a Cog server need no other API.

Two features of a Cog server are not supported, and requests for them are refused: ``Prefer: respond-async`` and
webhooks. A prediction lasts as long as its connection: closing the connection cancels it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pilotlight.adapters.calls import Calls
from pilotlight.adapters.cog_schemas import (
    RefusedError,
    encode_event,
    encode_prediction,
    read_request,
    unprocessable,
)
from pilotlight.adapters.web import PredictionError, answer_error, next_event, while_asked
from pilotlight.errors import InputError, WorkerBusyError, WorkerError
from pilotlight.runtime import Completed, Event, HealthStatus
from pilotlight.runtime.schema.document import streaming_everywhere
from pilotlight.runtime.schema.validation import InvalidInputError, Mistake, Validator
from pilotlight.types import Prediction

__all__ = ["PredictionBackend", "create_app"]

# How long a response to a streaming request waits for the prediction to begin, so that a refusal can have its own HTTP
# status. It is also the interval of comments sent while the predictor yields nothing, because clients of a Cog server
# close a silent connection after a minute.
_PATIENCE_S = 10.0
_COMMENT_S = 15.0
_SSE = "text/event-stream"


class PredictionBackend(Protocol):
    """Runs predictions."""

    @property
    def document(self) -> Mapping[str, Any]:
        """Return the predictor's OpenAPI document."""

    def stream(
        self, inputs: Mapping[str, Any], prediction_id: str, context: Mapping[str, str] | None
    ) -> AsyncGenerator[Event, None]:
        """Yield a prediction's events, ``Completed`` last; leaving the generator early cancels the prediction.

        Raises:
            InputError: an input is invalid.
            WorkerBusyError: too many predictions are waiting.
            WorkerError: the prediction cannot run, or its worker is lost.
        """

    async def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction that another process may run; return ``False`` if there is none with this id."""

    async def health(self) -> HealthStatus:
        """Return the worker's health: whether a prediction would run now."""


def create_app(backend: PredictionBackend, calls: Calls, *, strict_inputs: bool = False) -> Starlette:
    """Return an application with a Cog server's routes, and ``/health``: 200 while a prediction would run.

    Args:
        backend: runs the predictions.
        calls: running predictions, for cancellation by id.
        strict_inputs: refuse inputs that the predictor does not have; by default they are ignored.
    """
    validator = Validator(backend.document)
    described = streaming_everywhere(dict(backend.document))

    async def predictions(request: Request) -> Response:
        asked = await read_request(request)
        inputs = validator.check(asked.inputs, strict=strict_inputs)
        if asked.id in calls:
            return JSONResponse({"id": asked.id, "status": "processing"}, 202)
        events = calls.run(asked.id, backend.stream(inputs, asked.id, asked.context))
        if _SSE in request.headers.get("accept", "").lower():
            return await _stream(request, events)
        return JSONResponse(encode_prediction(await while_asked(request, _last(events))))

    async def cancel(request: Request) -> Response:
        prediction_id = request.path_params["prediction_id"]
        found = calls.cancel(prediction_id) or await backend.cancel(prediction_id)
        return JSONResponse({}, 200 if found else 404)

    async def health_check(_: Request) -> Response:
        return JSONResponse({"status": await backend.health()})

    async def ready(_: Request) -> Response:
        status = await backend.health()
        good = status in (HealthStatus.READY, HealthStatus.BUSY)
        return JSONResponse({"ready": good}, 200 if good else 503)

    async def document(_: Request) -> Response:
        return JSONResponse(described)

    return Starlette(
        routes=[
            Route("/", _index),
            Route("/health", ready),
            Route("/health-check", health_check),
            Route("/openapi.json", document),
            Route("/predictions", predictions, methods=["POST"]),
            Route("/predictions/{prediction_id}", predictions, methods=["PUT"]),
            Route("/predictions/{prediction_id}/cancel", cancel, methods=["POST"]),
        ],
        exception_handlers={
            RefusedError: _answer_refused,
            InputError: _answer_input,
            WorkerError: _answer_worker,
            PredictionError: answer_error,  # the caller has disconnected
        },
    )


async def _index(_: Request) -> Response:
    return JSONResponse(
        {
            "healthcheck_url": "/health-check",
            "openapi_url": "/openapi.json",
            "predictions_url": "/predictions",
            "predictions_idempotent_url": "/predictions/{prediction_id}",
            "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
        }
    )


async def _last(found: AsyncGenerator[Event, None]) -> Prediction:
    async with aclosing(found) as events:
        async for event in events:
            if isinstance(event, Completed):
                return event.prediction
    raise AssertionError("this is a bug: a stream ended without Completed")


class _EventStream(StreamingResponse):
    """The response with one prediction's events. Ending it early, even before the first chunk, cancels it."""

    def __init__(self, found: AsyncGenerator[Event, None], first: asyncio.Task[Event]) -> None:
        super().__init__(self._pieces(), media_type=_SSE, headers={"Cache-Control": "no-cache"})
        self._found = found
        self._coming = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _leave(self._found, self._coming)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                await asyncio.wait([self._coming], timeout=_COMMENT_S)
                if not self._coming.done():
                    yield b": still there\n\n"
                    continue
                event = self._coming.result()
                yield encode_event(event)
                if isinstance(event, Completed):
                    return
                self._coming = asyncio.create_task(next_event(self._found))
        except (InputError, WorkerError) as error:  # the HTTP status has already been sent
            yield f"event: error\ndata: {json.dumps({'error': str(error)})}\n\n".encode()


async def _stream(request: Request, found: AsyncGenerator[Event, None]) -> Response:
    """Return the response, once the prediction has begun or has waited for ``_PATIENCE_S``.

    Raises:
        InputError, WorkerError: the prediction cannot begin.
        PredictionError: the caller has disconnected.
    """
    first = asyncio.create_task(next_event(found))
    try:
        await while_asked(request, _patience(first))
        if first.done():
            first.result()
    except BaseException:
        await _leave(found, first)
        raise
    return _EventStream(found, first)


async def _patience(first: asyncio.Task[Event]) -> None:
    await asyncio.wait([first], timeout=_PATIENCE_S)


async def _leave(found: AsyncGenerator[Event, None], coming: asyncio.Task[Event]) -> None:
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)  # no caller is left to receive an error
    await found.aclose()


async def _answer_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError), "this is a bug: registered for another error"
    return error.response


async def _answer_input(_: Request, error: Exception) -> Response:
    if isinstance(error, InvalidInputError):
        return unprocessable([mistake.detail for mistake in error.mistakes])
    assert isinstance(error, InputError), "this is a bug: registered for another error"
    return unprocessable([Mistake(error.name, error.problem).detail])


async def _answer_worker(_: Request, error: Exception) -> Response:
    status = 409 if isinstance(error, WorkerBusyError) else 503
    return JSONResponse({"error": str(error), "status": "failed"}, status)
