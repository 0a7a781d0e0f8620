"""A worker that takes predictions: what runs on its slots, cancels, and the watch over its health, until it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.errors import (
    PilotlightError,
    WorkerBusyError,
    WorkerCrashedError,
    WorkerError,
    WorkerTimeoutError,
)
from pilotlight.runtime.events import Feed
from pilotlight.runtime.keeper_options import KeeperOptions
from pilotlight.runtime.worker import WorkerLike
from pilotlight.types import Prediction, Status

# A cancel that comes before the server has the prediction finds nothing to cancel: ask again.
_CANCEL_RETRY_S = 0.02
# One that comes just before the predictor's first line is taken by coglet, and lost: ask again. Not sooner, as a
# second cancel would interrupt the predictor's cleanup.
CANCEL_AGAIN_S = 1.0
# What Cog raises in the thread or task of a cancelled prediction.
_CANCELATION = "CancelationException"


@dataclass(slots=True, eq=False)
class _Running:
    """A prediction on a slot.

    Attributes:
        limit: by when it has to be over; ``None`` of it for never.
        canceled: whether its end was asked for.
    """

    limit: asyncio.Timeout
    canceled: bool = False

    def end_at(self, when: float) -> None:
        """End it at that time of the event loop, if it has not ended by then."""
        if not self.limit.expired():
            self.limit.reschedule(when)


class ReadyWorker:
    """Runs predictions on ``worker``, which is ready, until it breaks; ``close`` must follow.

    Attributes:
        broken: why it takes no more predictions; done as soon as that is known.
    """

    def __init__(self, worker: WorkerLike, options: KeeperOptions) -> None:
        self._loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[WorkerError] = self._loop.create_future()
        self._worker = worker
        self._options = options
        self._running: dict[str, _Running] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks = {asyncio.create_task(self._watch())}

    @property
    def slots(self) -> int:
        """How many predictions it runs at once."""
        return self._worker.slots

    async def wait_broken(self) -> WorkerError:
        """Wait until it is broken, and return why."""
        # Not awaited itself: a cancelled task cancels the future that it awaits.
        await asyncio.wait([self.broken])
        return self.broken.result()

    async def close(self) -> None:
        """Fail what still runs, and wait until its callers have been told."""
        self._break(WorkerError("it is stopping, and the prediction had not ended in time"))
        for running in self._running.values():
            running.end_at(self._loop.time())
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._idle.wait()

    async def run(
        self, inputs: Mapping[str, Any], feed: Feed, prediction_id: str, context: Mapping[str, str] | None
    ) -> Prediction:
        """Run one prediction on a free slot, as ``Keeper.run``."""
        if len(self._running) >= self.slots:
            raise WorkerBusyError(f"all slots of the worker are taken ({self.slots})")
        running = self._running[prediction_id] = _Running(asyncio.timeout(None))
        self._idle.clear()
        try:
            async with running.limit:
                ended = await self._worker.run(inputs, feed, prediction_id=prediction_id, context=context)
            return _as_canceled(ended) if running.canceled else ended
        except (TimeoutError, PilotlightError) as error:
            failure = self._failure(prediction_id, error)
            if running.canceled:
                return Prediction(prediction_id, Status.CANCELED)
            if failure is error:
                raise
            raise failure from None
        finally:
            del self._running[prediction_id]
            if not self._running:
                self._idle.set()

    def cancel(self, prediction_id: str) -> None:
        """Ask the predictor to end a prediction; one that keeps its slot for too long breaks the worker."""
        running = self._running[prediction_id]
        if running.canceled:
            return
        running.canceled = True
        running.end_at(self._loop.time() + self._options.cancel_grace_s)
        task = asyncio.create_task(self._ask_to_cancel(prediction_id, running))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _failure(self, prediction_id: str, error: TimeoutError | PilotlightError) -> PilotlightError:
        """Return the error that ends a prediction; one that says that the worker is broken breaks it."""
        if isinstance(error, TimeoutError):
            if self.broken.done():
                why = self.broken.result()
                return WorkerCrashedError(f"the worker was killed: {why}", logs=why.logs)
            held = f"prediction {prediction_id} kept its slot for {self._options.cancel_grace_s:g} s after its cancel"
            self._break(WorkerTimeoutError(held))
            return WorkerCrashedError(held)
        # Busy, although the slots are counted here: the server has lost one.
        if isinstance(error, WorkerCrashedError | WorkerTimeoutError | WorkerBusyError):
            self._break(error)
        return error

    async def _watch(self) -> None:
        """Ask the worker how it is, over and over."""
        bad = 0
        while bad < self._options.unhealthy_checks:
            await asyncio.sleep(self._options.health_interval_s)
            try:
                health = await self._worker.health()
            except WorkerCrashedError as error:
                self._break(error)
                return
            except WorkerError as error:
                bad, last_error = bad + 1, error
                continue
            if health.lost:
                self._break(WorkerCrashedError(f"the Python process of the Cog server is gone: {health.error}"))
                return
            last_error = WorkerError(f"the worker says that it is unhealthy: {health.error}")
            # A prediction may hold the interpreter for as long as it likes; the healthcheck cannot run meanwhile.
            excused = bool(self._running) and "timed out" in (health.error or "").lower()
            bad = 0 if health.ready or excused else bad + 1
        self._break(last_error)

    async def _ask_to_cancel(self, prediction_id: str, running: _Running) -> None:
        with suppress(WorkerError):  # a worker that is gone has cancelled everything
            while self._running.get(prediction_id) is running:
                found = await self._worker.cancel(prediction_id)
                await asyncio.sleep(CANCEL_AGAIN_S if found else _CANCEL_RETRY_S)

    def _break(self, error: WorkerError) -> None:
        if not self.broken.done():
            self.broken.set_result(error)


def _as_canceled(ended: Prediction) -> Prediction:
    """Return a cancelled prediction as such where Cog's server calls it failed.

    A cancel that arrives while the server prepares the inputs, or while it hands an asynchronous predictor its
    coroutine, is raised there as an exception like any other.
    """
    if ended.status is Status.FAILED and _CANCELATION in (ended.error or ""):
        return replace(ended, status=Status.CANCELED, error=None)
    return ended
