"""A worker without a process, for tests of what runs predictions on workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import WorkerBusyError, WorkerCrashedError, WorkerError
from pilotlight.runtime.events import Event, Feed, Output, Started, discard, stream_events
from pilotlight.runtime.health import Health, HealthStatus
from pilotlight.runtime.http.request import check_prediction_id, new_prediction_id
from pilotlight.types import Prediction, Status


def echo(inputs: Mapping[str, Any]) -> Sequence[Any]:
    """Return the values of the inputs, one chunk each."""
    return list(inputs.values())


class FakeWorker:
    """A worker with the interface of ``Worker``, whose predictions end when the test says so.

    Args:
        slots: predictions at once; more are refused.
        answer: the chunks for an input; what it raises becomes a failed prediction.
        setup_error: what ``wait_ready`` raises.
        heeds_cancel: whether a held prediction ends when it is cancelled; else it keeps its slot.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        answer: Callable[[Mapping[str, Any]], Sequence[Any]] = echo,
        setup_error: WorkerError | None = None,
        heeds_cancel: bool = True,
    ) -> None:
        self.slots = slots
        self.stopped = False
        self.served: list[Mapping[str, Any]] = []
        self.answer = answer
        self._setup_error = setup_error
        self._heeds_cancel = heeds_cancel
        self._running: dict[str, asyncio.Event] = {}
        self._flow = asyncio.Event()
        self._flow.set()
        self._crashed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._health = Health(HealthStatus.READY, setup_started_at=datetime.now(UTC))

    @property
    def running(self) -> int:
        """How many predictions it runs."""
        return len(self._running)

    @property
    def logs(self) -> str:
        return "the fake's log"

    def hold(self) -> None:
        """Keep predictions from ending, until ``release``."""
        self._flow.clear()

    def release(self) -> None:
        self._flow.set()

    def crash(self) -> None:
        """Behave as if the process were killed."""
        self._crashed.set()

    def become_unhealthy(self, error: str) -> None:
        """Behave as if the predictor's own healthcheck failed with ``error``."""
        self._health = Health(HealthStatus.UNHEALTHY, error=error)

    async def start(self) -> None:
        """Nothing to do."""

    async def wait_ready(self, timeout_s: float) -> Health:
        if self._setup_error is not None:
            raise self._setup_error
        return self._health

    async def health(self) -> Health:
        self._raise_if_crashed()
        return self._health

    async def run(
        self,
        inputs: Mapping[str, Any],
        feed: Feed,
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
        busy_timeout_s: float = 1.0,
    ) -> Prediction:
        prediction_id = check_prediction_id(prediction_id or new_prediction_id())
        self._raise_if_crashed()
        if self._draining:
            raise WorkerError("the worker is stopping and takes no more predictions")
        if len(self._running) >= self.slots:
            raise WorkerBusyError("every slot of the fake is taken")
        canceled = self._running[prediction_id] = asyncio.Event()
        self._idle.clear()
        self.served.append(dict(inputs))
        try:
            feed(Started(prediction_id))
            return await self._predict(inputs, feed, prediction_id, canceled)
        finally:
            del self._running[prediction_id]
            if not self._running:
                self._idle.set()

    def stream(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
        busy_timeout_s: float = 1.0,
    ) -> AsyncGenerator[Event, None]:
        return stream_events(lambda feed: self.run(inputs, feed, prediction_id=prediction_id, context=context))

    async def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
        busy_timeout_s: float = 1.0,
    ) -> Prediction:
        return await self.run(inputs, discard, prediction_id=prediction_id, context=context)

    async def cancel(self, prediction_id: str) -> bool:
        self._raise_if_crashed()
        if prediction_id not in self._running:
            return False
        if self._heeds_cancel:
            self._running[prediction_id].set()
        return True

    async def drain(self, deadline_s: float) -> bool:
        self._draining = True
        await _first_of(self._idle, timeout_s=deadline_s)
        return not self._running

    async def stop(self, grace_s: float = 5.0) -> None:
        await self.drain(grace_s)
        self.stopped = True
        self._crashed.set()

    async def _predict(
        self, inputs: Mapping[str, Any], feed: Feed, prediction_id: str, canceled: asyncio.Event
    ) -> Prediction:
        try:
            chunks = self.answer(inputs)
        except Exception as error:  # noqa: BLE001 - whatever a predictor raises fails its prediction, no more
            return Prediction(prediction_id, Status.FAILED, error=f"{type(error).__name__}: {error}")
        for index, chunk in enumerate(chunks):
            feed(Output(chunk, index))
        await _first_of(self._flow, canceled, self._crashed)
        self._raise_if_crashed()
        status = Status.CANCELED if canceled.is_set() else Status.SUCCEEDED
        return Prediction(prediction_id, status, output=list(chunks))

    def _raise_if_crashed(self) -> None:
        if self._crashed.is_set():
            raise WorkerCrashedError("the fake has crashed", logs=self.logs)


async def _first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait until one of them is set, or for ``timeout_s``."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
