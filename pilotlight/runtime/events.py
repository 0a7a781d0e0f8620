"""What happens in the life of a prediction, as a Cog server reports it.

Whoever runs a prediction calls a ``Feed`` with each event as it comes, and returns the prediction when it has ended;
``stream_events`` turns that into an iterator that ends with ``Completed``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import PredictionCanceledError, PredictionFailedError, WorkerError
from pilotlight.types import Prediction, Status

_FAILED = "Prediction failed: "


@dataclass(frozen=True, slots=True)
class Started:
    """The server has given it a slot."""

    id: str


@dataclass(frozen=True, slots=True)
class Log:
    """The predictor printed something; ``source`` is ``stdout`` or ``stderr``."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Metric:
    """The predictor recorded a number; ``mode`` is ``replace``, ``increment`` or ``append``."""

    name: str
    value: Any
    mode: str


@dataclass(frozen=True, slots=True)
class Output:
    """One chunk of the output: what an iterator yielded, an item of a list, or the whole of anything else."""

    chunk: Any
    index: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The end, always the last event."""

    prediction: Prediction


Event = Started | Log | Metric | Output | Completed

# Takes the events of a prediction up to its end, which is not one of them. It must neither block nor raise.
Feed = Callable[[Event], None]


def discard(event: Event) -> None:
    """A ``Feed`` for callers who need the end only."""


async def stream_events(run: Callable[[Feed], Coroutine[Any, Any, Prediction]]) -> AsyncGenerator[Event, None]:
    """Yield what ``run`` feeds, then ``Completed`` with what it returns; raise what it raises.

    Events are taken as they come, however slow the reader is. Leaving early cancels ``run`` and waits for its end.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    running = asyncio.create_task(run(events.put_nowait))
    # Not in the task itself: one that is cancelled before its first step never takes one.
    running.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        yield Completed(await running)
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # which the reader has been told, or has left before


def decode_event(name: str, data: str) -> Event | None:
    """Decode a server-sent event of Cog's; ``None`` for an unknown kind.

    Raises:
        WorkerError: the server says that it dropped events, or what it sent is not what Cog sends.
    """
    try:
        body = json.loads(data)
        match name:
            case "start":
                return Started(body["id"])
            case "log":
                return Log(body["source"], body["data"])
            case "metric":
                return Metric(body["name"], body["value"], body["mode"])
            case "output":
                return Output(body["chunk"], body["index"])
            case "completed":
                return Completed(decode_prediction(body))
            case "error":
                raise WorkerError(f"the Cog server ended the stream: {body.get('error', body)}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkerError(f"the Cog server sent an event {name!r} that cannot be parsed: {data[:200]!r}") from error
    return None


def decode_prediction(body: Mapping[str, Any]) -> Prediction:
    """Decode the body of a ``completed`` event, or the answer to a request that did not ask for a stream."""
    return Prediction(
        id=body["id"],
        status=Status(body["status"]),
        output=body.get("output"),
        error=_without_repetition(body.get("error")),
        logs=body.get("logs") or "",
        metrics=body.get("metrics") or {},
    )


def _without_repetition(error: str | None) -> str | None:
    """Return an error of Cog's server with its prefix once: two of its layers add the same one."""
    return error if error is None else error.replace(f"{_FAILED}{_FAILED}", _FAILED, 1)


def replay(prediction: Prediction) -> Iterator[Event]:
    """Yield the events that a finished prediction would have streamed, as far as its record has them."""
    yield Started(prediction.id)
    if prediction.logs:
        yield Log("stdout", prediction.logs)
    if prediction.output is not None:
        chunks = prediction.output if isinstance(prediction.output, list) else [prediction.output]
        for index, chunk in enumerate(chunks):
            yield Output(chunk, index)
    yield Completed(prediction)


def raise_for_status(prediction: Prediction) -> Prediction:
    """Return the prediction if it succeeded.

    Raises:
        PredictionFailedError: ``predict`` raised; carries the logs.
        PredictionCanceledError: somebody cancelled it.
    """
    if prediction.status is Status.FAILED:
        raise PredictionFailedError(prediction.error or "the prediction failed without a message", logs=prediction.logs)
    if prediction.status is Status.CANCELED:
        raise PredictionCanceledError(f"prediction {prediction.id} was cancelled", logs=prediction.logs)
    return prediction
