"""Keeps one worker of a project running, and runs predictions on its slots.

A worker that crashes, says that it is unhealthy or does not give up a cancelled prediction is killed and started again,
after a delay that grows with every failure in a row. What was running on it fails with ``WorkerCrashedError`` and is
never silently run a second time. After too many failed setups in a row the project is crash-looping: no further worker
is started.

There is no queue here: the caller gives a keeper no more predictions than the worker has slots. ``LocalQueue`` is for
callers that do not count them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from pilotlight.errors import PilotlightError, UsageError, WorkerError, WorkerTimeoutError
from pilotlight.runtime.events import Feed
from pilotlight.runtime.keeper_options import KeeperOptions, KeeperState, KeeperStatus
from pilotlight.runtime.ready_worker import ReadyWorker
from pilotlight.runtime.restarts import Restarts
from pilotlight.runtime.worker import WorkerLike
from pilotlight.types import Prediction, Status

# For a server without predictions to end by itself.
_STOP_IDLE_S = 2.0


class Keeper:
    """Keeps a worker that ``factory`` makes running, and makes the next one when it breaks.

    ``async with`` starts it; leaving stops it.

    Args:
        factory: makes a worker.
        options: the limits.
        on_change: called with every new state, at once; must neither block nor raise.
        clock: seconds, for the delays between starts.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        options: KeeperOptions | None = None,
        *,
        on_change: Callable[[KeeperState], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._factory = factory
        self._options = options or KeeperOptions()
        self._on_change = on_change
        self._clock = clock
        self._state = KeeperState.STOPPED
        self._changed = asyncio.Event()
        self._restarts = Restarts()
        self._starts = 0
        self._last_error: PilotlightError | None = None
        self._ready: ReadyWorker | None = None
        self._given: dict[str, ReadyWorker | None] = {}  # the predictions that have not ended, and where they run
        self._canceled: set[str] = set()  # those of them that were cancelled before a worker was ready
        self._none_given = asyncio.Event()
        self._none_given.set()
        self._draining = False
        self._owner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._become(KeeperState.STARTING)
        self._owner = asyncio.create_task(self._keep_running())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.drain(self._options.stop_grace_s if kind is None else 0)
        finally:
            assert self._owner is not None, "this is a bug: __aenter__ makes the owner"
            self._owner.cancel()
            await asyncio.wait([self._owner])
            with suppress(asyncio.CancelledError):
                await self._owner

    @property
    def status(self) -> KeeperStatus:
        """A snapshot of its state."""
        running = sum(ready is not None for ready in self._given.values())
        return KeeperStatus(self._state, running, self._starts, self._last_error)

    @property
    def ready(self) -> bool:
        """Whether a worker takes predictions; false as soon as it is known to be broken, before the state changes."""
        return self._ready is not None and not self._ready.broken.done()

    @property
    def slots(self) -> int:
        """How many predictions the worker runs at once; 0 while none is ready."""
        return self._ready.slots if self._ready is not None and not self._ready.broken.done() else 0

    @property
    def final_error(self) -> PilotlightError | None:
        """Why there will be no further worker; ``None`` while there may be one."""
        if self._state is KeeperState.STOPPED:
            return WorkerError("the worker is not running: it was stopped, or not started")
        if self._state is not KeeperState.CRASH_LOOPING:
            return None
        if isinstance(self._last_error, WorkerError):
            # Another one for each caller: an exception gathers the traceback of everyone who raises it.
            message = f"given up after {self._restarts.failed_setups} failed starts in a row: {self._last_error}"
            return type(self._last_error)(message, logs=self._last_error.logs)
        return self._last_error

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until a worker is ready.

        Raises:
            PilotlightError: it is crash-looping or stopped, with the reason of the last failure and its logs.
            WorkerTimeoutError: none within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._state is not KeeperState.READY:
                    if (error := self.final_error) is not None:
                        raise error
                    await self._changed.wait()
        except TimeoutError:
            raise WorkerTimeoutError(f"no worker became ready within {timeout_s:g} s; it is {self._state}") from None

    async def wait_final(self) -> None:
        """Wait until there will be no further worker."""
        while not self._state.final:
            await self._changed.wait()

    async def run(
        self,
        inputs: Mapping[str, Any],
        feed: Feed,
        *,
        prediction_id: str,
        context: Mapping[str, str] | None = None,
    ) -> Prediction:
        """Run one prediction on a free slot, as ``Worker.run``; wait for a worker first if none is ready.

        To end it early call ``cancel`` and go on waiting for its end, as only then its slot is free again. Cancelling
        the task that waits drops the connection, and the slot counts as free although the predictor may still hold it.

        Raises:
            UsageError: that id is taken.
            InputError: an input is wrong.
            WorkerBusyError: every slot is taken.
            WorkerCrashedError: the worker broke while it ran.
            SetupFailedError: the project is crash-looping (or whatever error was the last); carries the logs.
            WorkerError: it is stopping.
        """
        if prediction_id in self._given:
            raise UsageError(f"prediction {prediction_id} is already running; give each its own id")
        self._given[prediction_id] = None
        self._none_given.clear()
        try:
            ready = await self._wait_for_worker(prediction_id)
            if ready is None:
                return Prediction(prediction_id, Status.CANCELED)
            self._given[prediction_id] = ready
            return await ready.run(inputs, feed, prediction_id, context)
        finally:
            del self._given[prediction_id]
            self._canceled.discard(prediction_id)
            if not self._given:
                self._none_given.set()

    def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; ``False`` when there is none of that id.

        It ends when the predictor reacts to it, or when its worker is killed after ``cancel_grace_s``, which also fails
        the others on that worker.
        """
        if prediction_id not in self._given:
            return False
        ready = self._given[prediction_id]
        if ready is not None:
            ready.cancel(prediction_id)
        else:
            self._canceled.add(prediction_id)
            self._notify()
        return True

    async def drain(self, deadline_s: float) -> bool:
        """Take no more predictions, fail those without a worker, and return whether the others end in time."""
        self._draining = True
        self._notify()
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._none_given.wait()
        return not self._given

    async def _wait_for_worker(self, prediction_id: str) -> ReadyWorker | None:
        """Return the worker, once it is ready; ``None`` when the prediction is cancelled before that."""
        if self._draining:
            raise WorkerError("the worker is stopping and takes no more predictions")
        while (ready := self._ready) is None or ready.broken.done():
            if (error := self.final_error) is not None:
                raise error
            await self._changed.wait()
            if prediction_id in self._canceled:
                return None
            if self._draining:
                raise WorkerError("the worker is stopping; the prediction was still waiting for it")
        return ready

    async def _keep_running(self) -> None:
        """Start one worker after the other, until setup has failed too often."""
        try:
            while not self._restarts.crash_looping(self._options.restarts):
                delay_s = self._restarts.delay_s(self._clock())
                if delay_s > 0:
                    self._become(KeeperState.WAITING)
                    await asyncio.sleep(delay_s)
                self._become(KeeperState.STARTING)
                await self._run_worker(self._factory())
            self._become(KeeperState.CRASH_LOOPING)
        except PilotlightError as error:  # not the worker's: starting it again would only raise it again
            self._last_error = error
            self._become(KeeperState.CRASH_LOOPING)
        finally:
            if self._state is not KeeperState.CRASH_LOOPING:
                self._become(KeeperState.STOPPED)

    async def _run_worker(self, worker: WorkerLike) -> None:
        """Run one worker from its start until it breaks."""
        policy = self._options.restarts
        self._starts += 1
        grace_s = 0.0
        try:
            await worker.start()
            await worker.wait_ready(self._options.setup_timeout_s)
            self._restarts = self._restarts.became_ready(self._clock())
            self._last_error = await self._serve(worker)
            self._restarts = self._restarts.broke(policy, self._clock())
        except WorkerError as error:
            self._last_error = error
            self._restarts = self._restarts.setup_failed(policy, self._clock())
        except asyncio.CancelledError:
            grace_s = _STOP_IDLE_S
            raise
        finally:
            await worker.stop(grace_s)

    async def _serve(self, worker: WorkerLike) -> WorkerError:
        """Let predictions run on a worker until it breaks, and return why it did."""
        self._ready = ready = ReadyWorker(worker, self._options)
        self._become(KeeperState.READY)
        try:
            return await ready.wait_broken()
        finally:
            self._ready = None
            # Before the process is killed, so that callers hear of it first.
            await ready.close()

    def _become(self, state: KeeperState) -> None:
        if self._state is state:
            return
        self._state = state
        self._notify()
        if self._on_change is not None:
            self._on_change(state)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
