"""Running predictions of an adapter: their events as they arrive, and cancellation by id."""

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
    """One running prediction. Read ``events`` only once.

    Args:
        prediction_id: the prediction's id.
        source: its events; closing the generator early cancels the prediction.
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
        """Cancel the prediction; its last event is ``Completed`` with status canceled."""
        self._canceled = True
        if self._reader is not None:
            self._reader.cancel()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the events up to ``Completed``. Leaving the generator early cancels the prediction.

        An error after the start yields ``Completed`` with status failed, as a Cog server does when its Python process
        dies.

        Raises:
            InputError: an input is invalid.
            WorkerError: the prediction cannot begin.
        """
        self._reader = asyncio.create_task(self._pass_on())
        # Not in the task itself: a task that is cancelled before its first step runs none of its code.
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
        """Return the final event for a prediction whose event stream ended without one."""
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
    """Running predictions by id."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, prediction_id: str) -> bool:
        return prediction_id in self._calls

    def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; return ``False`` if there is none with this id."""
        call = self._calls.get(prediction_id)
        if call is not None:
            call.cancel()
        return call is not None

    async def run(self, prediction_id: str, source: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """As ``Call.events``.

        Raises:
            WorkerBusyError: a prediction with this id is running.
        """
        if prediction_id in self._calls:
            raise WorkerBusyError(f"a prediction with id {prediction_id} is already running; use another id")
        call = self._calls[prediction_id] = Call(prediction_id, source)
        try:
            async with aclosing(call.events()) as events:
                async for event in events:
                    yield event
        finally:
            del self._calls[prediction_id]
