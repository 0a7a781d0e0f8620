"""The predictions that an adapter serves: their events as they come, and cancels by id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from pilotlight.errors import WorkerBusyError, WorkerError
from pilotlight.runtime import Completed, Event, Log, Output, Started
from pilotlight.types import Prediction, Status

__all__ = ["Call", "Calls"]


class Call:
    """One prediction; read ``events`` once.

    Args:
        prediction_id: its id.
        source: its events; closing it early cancels the prediction.
    """

    def __init__(self, prediction_id: str, source: AsyncGenerator[Event, None]) -> None:
        self.id = prediction_id
        self._source = source
        self._read: asyncio.Queue[Event | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._canceled = False
        self._began = False
        self._chunks: list[Any] = []
        self._logs: list[str] = []

    def cancel(self) -> None:
        """End it as canceled."""
        self._canceled = True
        if self._reader is not None:
            self._reader.cancel()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield its events up to ``Completed``. Leaving early cancels it.

        An error after its start ends it as failed, as a Cog server does whose Python process dies.

        Raises:
            InputError: an input is wrong.
            WorkerError: it cannot begin.
        """
        self._reader = asyncio.create_task(self._pass_on())
        # Not in the task itself: one that is cancelled before its first step never takes one.
        self._reader.add_done_callback(lambda _: self._read.put_nowait(None))
        if self._canceled:
            self._reader.cancel()
        try:
            while (event := await self._read.get()) is not None:
                self._note(event)
                yield event
                if isinstance(event, Completed):
                    return
            yield self._end(self._reader)
        finally:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def _pass_on(self) -> None:
        async with aclosing(self._source) as events:
            async for event in events:
                self._read.put_nowait(event)

    def _note(self, event: Event) -> None:
        match event:
            case Started():
                self._began = True
            case Output(chunk):
                self._chunks.append(chunk)
            case Log(_, text):
                self._logs.append(text)

    def _end(self, reader: asyncio.Task[None]) -> Completed:
        """Return the end of a prediction whose source has ended without one."""
        output, logs = self._chunks or None, "".join(self._logs)
        if self._canceled:
            return Completed(Prediction(self.id, Status.CANCELED, output, logs=logs))
        try:
            reader.result()
        except WorkerError as error:
            if not self._began:
                raise
            return Completed(Prediction(self.id, Status.FAILED, output, str(error), logs))
        raise AssertionError("this is a bug: a stream ended without Completed")


class Calls:
    """The predictions that have not ended, by id."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, prediction_id: str) -> bool:
        return prediction_id in self._calls

    def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; ``False`` when there is none of that id."""
        call = self._calls.get(prediction_id)
        if call is not None:
            call.cancel()
        return call is not None

    async def run(self, prediction_id: str, source: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """As ``Call.events``.

        Raises:
            WorkerBusyError: the id is taken.
        """
        if prediction_id in self._calls:
            raise WorkerBusyError(f"prediction {prediction_id} is already running; give each its own id")
        call = self._calls[prediction_id] = Call(prediction_id, source)
        try:
            async with aclosing(call.events()) as events:
                async for event in events:
                    yield event
        finally:
            del self._calls[prediction_id]
