"""A prediction that has not ended yet, in memory: its record, its output and logs so far, and those who wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from pilotlight.gateway.prediction import LISTED, LONGEST_LISTED, PredictionRecord
from pilotlight.gateway.sse import StreamEvent
from pilotlight.runtime import Event, Log, Output
from pilotlight.types import Status


class ActivePrediction:
    """One prediction, from its acceptance to its end.

    Args:
        record: as it was accepted.
        inputs: what the worker gets, where that is not what may be shown.
        iterates: whether its output is a list that grows chunk by chunk; anything else is shown whole at its end.
    """

    def __init__(
        self,
        record: PredictionRecord,
        inputs: Mapping[str, Any] | None = None,
        *,
        iterates: bool = True,
    ) -> None:
        self.inputs = record.input if inputs is None else inputs
        self.cancel_asked = False
        self._record = record
        self._iterates = iterates
        self._chunks: list[Any] = []
        self._logs: list[str] = []
        self._events: list[StreamEvent] = []
        self._change_waiters: list[asyncio.Future[bool]] = []
        self._end_waiters: list[asyncio.Future[bool]] = []
        self._closed = False

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def created_at(self) -> float:
        return self._record.created_at

    @property
    def owner(self) -> str | None:
        return self._record.owner

    @property
    def record(self) -> PredictionRecord:
        """The record as of now; while it runs, with the output and the logs so far."""
        if self._record.status is not Status.PROCESSING:
            return self._record
        return replace(self._record, output=self._partial(), logs=self.logs)

    @property
    def logs(self) -> str:
        """What it has printed so far."""
        return "".join(self._logs)

    def listed(self) -> PredictionRecord:
        """Return the record as of now for a list: what is too long for one is left out."""
        record = self.record
        long = [name for name in LISTED if _is_long(getattr(record, name))]
        empty: dict[str, Any] = {"input": {}, "output": None, "logs": ""}
        return replace(record, left_out=tuple(long), **{name: empty[name] for name in long}) if long else record

    def feed(self, event: Event) -> None:
        """Take an event from its worker, and pass it on to those who follow it."""
        if isinstance(event, Output):
            self._chunks.append(event.chunk)
            self._append(StreamEvent("output", text_of(event.chunk)))
        elif isinstance(event, Log):
            self._logs.append(event.text)
            self._append(StreamEvent("logs", event.text))

    def update(self, record: PredictionRecord) -> None:
        """Take the next step of its life; after a terminal one everyone who waits is told."""
        self._record = record
        self._notify()
        if record.status.terminal:
            for event in last_events(record):
                self._append(event)
            self._closed = True
            _wake_all(self._end_waiters)

    def close(self) -> None:
        """End all waiting for it here, although it has not ended: the next gateway runs it."""
        self._closed = True
        _wake_all(self._end_waiters)
        self._notify()

    @property
    def closed(self) -> bool:
        """Whether no more events will come: it has ended, or was closed."""
        return self._closed

    async def wait_changed(self, timeout_s: float | None = None) -> bool:
        """Wait for its next change, an event or a step of its life; ``False`` if none comes within ``timeout_s``."""
        return await _wait(self._change_waiters, timeout_s)

    async def wait_ended(self, timeout_s: float | None = None) -> bool:
        """Return whether it has ended within ``timeout_s``; ``False`` at once when it is closed."""
        if not self._closed:
            await _wait(self._end_waiters, timeout_s)
        return self._record.status.terminal

    async def follow(self, *, silence_s: float = 15.0) -> AsyncGenerator[StreamEvent | None, None]:
        """Yield its events from the first on, as they come, up to the last; ``None`` after each ``silence_s``."""
        number = 0
        while True:
            while number < len(self._events):
                yield self._events[number]
                number += 1
            if self._closed:
                return
            if not await self.wait_changed(silence_s):
                yield None

    def _partial(self) -> Any:
        return list(self._chunks) if self._iterates and self._chunks else None

    def _append(self, event: StreamEvent) -> None:
        self._events.append(event)
        self._notify()

    def _notify(self) -> None:
        if self._change_waiters:
            _wake_all(self._change_waiters)


def _is_long(value: Any) -> bool:
    return value is not None and len(value if isinstance(value, str) else json.dumps(value)) > LONGEST_LISTED


async def _wait(waiters: list[asyncio.Future[bool]], timeout_s: float | None) -> bool:
    """Wait among ``waiters`` until they are woken; ``False`` after ``timeout_s``.

    A timer that wakes the same future costs a third of ``asyncio.timeout``, which has to cancel the task.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[bool] = loop.create_future()
    waiters.append(waiter)
    timer = None if timeout_s is None else loop.call_later(timeout_s, _wake, waiter, False)
    try:
        return await waiter
    finally:
        if timer is not None:
            timer.cancel()
        if waiter in waiters:
            waiters.remove(waiter)


def _wake_all(waiters: list[asyncio.Future[bool]]) -> None:
    woken = waiters[:]
    waiters.clear()
    for waiter in woken:
        _wake(waiter, True)


def _wake(waiter: asyncio.Future[bool], changed: bool) -> None:
    if not waiter.done():
        waiter.set_result(changed)


def text_of(chunk: Any) -> str:
    """Return a chunk of output as the text of an event: a string as it is, anything else as JSON."""
    return chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False)


def last_events(record: PredictionRecord) -> list[StreamEvent]:
    """Return the events that end a stream."""
    if record.status is Status.FAILED:
        detail = json.dumps({"detail": record.error}, ensure_ascii=False)
        return [StreamEvent("error", detail), StreamEvent("done", '{"reason":"error"}')]
    return [StreamEvent("done", '{"reason":"canceled"}' if record.status is Status.CANCELED else "{}")]


def replayed(record: PredictionRecord) -> list[StreamEvent]:
    """Return the events of a prediction that has ended, as far as its record has them."""
    events = [StreamEvent("logs", record.logs)] if record.logs else []
    if record.output is not None:
        chunks = record.output if isinstance(record.output, list) else [record.output]
        events += [StreamEvent("output", text_of(chunk)) for chunk in chunks]
    return events + last_events(record)
