"""A queue in front of one worker, for the client's ``project:`` target and the adapters; the gateway has its own."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pilotlight.errors import PilotlightError, UsageError, WorkerBusyError, WorkerError
from pilotlight.runtime.events import Event, Feed, discard, stream_events
from pilotlight.runtime.http.request import check_prediction_id, new_prediction_id
from pilotlight.runtime.keeper import Keeper
from pilotlight.runtime.keeper_options import KeeperOptions, KeeperState, KeeperStatus
from pilotlight.runtime.worker import WorkerLike
from pilotlight.types import Prediction, Status


@dataclass(slots=True, eq=False)
class _QueuedPrediction:
    """One prediction, waiting or running.

    Attributes:
        end: its result, or the error that ended it; done before it has ended on the worker when its caller has left.
        task: runs it; ``None`` while it waits for a slot.
        canceled: whether its end was asked for.
    """

    id: str
    inputs: Mapping[str, Any]
    context: Mapping[str, str] | None
    feed: Feed
    end: asyncio.Future[Prediction]
    task: asyncio.Task[None] | None = None
    canceled: bool = False

    def tell(self, event: Event) -> None:
        """Feed the caller, who may have left."""
        if not self.end.done():
            self.feed(event)

    def finish(self, prediction: Prediction) -> None:
        if not self.end.done():
            self.end.set_result(prediction)

    def fail(self, error: Exception) -> None:
        if not self.end.done():
            self.end.set_exception(error)


class LocalQueue:
    """Runs predictions on one worker, first come, first served; ``Keeper`` keeps the worker running.

    ``async with`` starts it; leaving lets running predictions end for ``stop_grace_s``. Predictions may come before the
    worker is ready: they wait, and wait again while a worker that broke is started again.

    Args:
        factory: makes a worker.
        options: how the worker is kept running.
        max_waiting: how many predictions may wait for a slot; further ones are refused.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        options: KeeperOptions | None = None,
        *,
        max_waiting: int = 1024,
    ) -> None:
        self._keeper = Keeper(factory, options, on_change=self._follow)
        self._max_waiting = max_waiting
        self._queued: dict[str, _QueuedPrediction] = {}  # all that have not ended, by id
        self._waiting: deque[_QueuedPrediction] = deque()
        self._draining = False

    async def __aenter__(self) -> Self:
        await self._keeper.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._refuse()
        try:
            await self._keeper.__aexit__(kind, error, trace)
        finally:
            running = [one.task for one in self._queued.values() if one.task is not None]
            if running:
                await asyncio.wait(running)  # they end with the keeper

    @property
    def status(self) -> KeeperStatus:
        """A snapshot of the worker."""
        return self._keeper.status

    @property
    def waiting(self) -> int:
        """How many predictions wait for a slot."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether a worker takes predictions."""
        return self._keeper.ready

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until a worker is ready; raises as ``Keeper.wait_ready``."""
        await self._keeper.wait_ready(timeout_s)

    async def run(
        self,
        inputs: Mapping[str, Any],
        feed: Feed,
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Prediction:
        """Run one prediction into ``feed``, after waiting for a worker and a slot. Leaving early cancels it.

        Raises:
            UsageError: that id is taken, or is none.
            InputError: an input is wrong.
            WorkerBusyError: too many are waiting.
            WorkerCrashedError: the worker broke while it ran.
            SetupFailedError: the project is crash-looping (or whatever error was the last); carries the logs.
            WorkerError: it is stopping.
        """
        prediction_id = check_prediction_id(prediction_id or new_prediction_id())
        self._check_room(prediction_id)
        end: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        queued = _QueuedPrediction(prediction_id, inputs, context, feed, end)
        self._queued[prediction_id] = queued
        self._waiting.append(queued)
        self._dispatch()
        try:
            return await end
        except asyncio.CancelledError:
            self._cancel(queued)
            raise

    def stream(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """As ``run``, as an iterator of the events, ``Completed`` last. Leaving early cancels the prediction."""
        return stream_events(lambda feed: self.run(inputs, feed, prediction_id=prediction_id, context=context))

    async def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Prediction:
        """As ``run``, for the end only: a failed prediction is returned, and ``raise_for_status`` raises for it."""
        return await self.run(inputs, discard, prediction_id=prediction_id, context=context)

    def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; ``False`` when there is none of that id.

        One that waits ends at once, one that runs as ``Keeper.cancel`` says.
        """
        queued = self._queued.get(prediction_id)
        if queued is None:
            return False
        self._cancel(queued)
        return True

    async def drain(self, deadline_s: float) -> bool:
        """Take no more predictions, fail those that wait, and return whether the running ones end in time."""
        self._refuse()
        return await self._keeper.drain(deadline_s)

    def _check_room(self, prediction_id: str) -> None:
        """Raise for a prediction that cannot be taken."""
        if (error := self._keeper.final_error) is not None:
            raise error
        if self._draining:
            raise WorkerError("the worker is stopping and takes no more predictions")
        if prediction_id in self._queued:
            raise UsageError(f"prediction {prediction_id} is already running; give each its own id")
        if len(self._waiting) >= self._max_waiting:
            raise WorkerBusyError(f"{self._max_waiting} predictions are waiting, which is the limit; try again later")

    def _dispatch(self) -> None:
        """Give the worker's free slots to those that have waited longest."""
        while self._waiting and len(self._queued) - len(self._waiting) < self._keeper.slots:
            queued = self._waiting.popleft()
            queued.task = asyncio.create_task(self._work(queued))

    async def _work(self, queued: _QueuedPrediction) -> None:
        """Run one to its end, whether its caller still waits for it or not."""
        tell_end: Callable[[], None]
        try:
            if queued.canceled:
                prediction = Prediction(queued.id, Status.CANCELED)
            else:
                prediction = await self._keeper.run(
                    queued.inputs, queued.tell, prediction_id=queued.id, context=queued.context
                )
            tell_end = functools.partial(queued.finish, prediction)
        except Exception as error:  # noqa: BLE001 - a bug of ours must reach the caller too
            tell_end = functools.partial(queued.fail, error)
        finally:
            # First, so that the slot and the id are free again when the caller hears of the end.
            del self._queued[queued.id]
            self._dispatch()
        tell_end()

    def _cancel(self, queued: _QueuedPrediction) -> None:
        queued.canceled = True
        if queued.task is not None:
            self._keeper.cancel(queued.id)
        elif queued in self._waiting:
            self._waiting.remove(queued)
            del self._queued[queued.id]
            queued.finish(Prediction(queued.id, Status.CANCELED))

    def _follow(self, state: KeeperState) -> None:
        """Give slots away when a worker is ready, and fail what waits when there will be none."""
        if state is KeeperState.READY:
            self._dispatch()
        elif (error := self._keeper.final_error) is not None:
            self._fail_waiting(error)

    def _refuse(self) -> None:
        self._draining = True
        self._fail_waiting(WorkerError("the worker is stopping; the prediction was still waiting for it"))

    def _fail_waiting(self, error: PilotlightError) -> None:
        waiting, self._waiting = list(self._waiting), deque()
        for queued in waiting:
            del self._queued[queued.id]
            queued.fail(_copy(error))


def _copy(error: PilotlightError) -> PilotlightError:
    """Another one for each caller: an exception gathers the traceback of everyone who raises it."""
    return type(error)(str(error), logs=error.logs) if isinstance(error, WorkerError) else error
