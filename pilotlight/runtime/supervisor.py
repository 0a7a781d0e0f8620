"""Keeps one worker of a project running, and runs a queue of predictions on it.

The supervisor owns the queue: a worker never sees more predictions than it has slots. A worker that crashes, says that
it is unhealthy or does not give up a cancelled prediction is killed and started again. What was running on it fails
with ``WorkerCrashedError`` and is never silently run a second time; what was waiting waits for the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self

from pilotlight.errors import PilotlightError, WorkerBusyError, WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.runtime.events import Completed, Event
from pilotlight.runtime.http.request import check_prediction_id, new_prediction_id
from pilotlight.runtime.restarts import Restarts
from pilotlight.runtime.supervision import State, SupervisorOptions, SupervisorStatus, WorkerLike
from pilotlight.runtime.tickets import QueuedPrediction, TicketQueue, again
from pilotlight.runtime.worker import last_prediction
from pilotlight.types import Prediction, Status

# A cancel that comes before the server has the prediction finds nothing to cancel: ask again.
_CANCEL_RETRY_S = 0.02
# One that comes just before the predictor's first line is taken by coglet, and lost: ask again. Not sooner, as a
# second cancel would interrupt the predictor's cleanup.
_CANCEL_AGAIN_S = 1.0
# For a server without predictions to end by itself.
_LEAVE_S = 2.0


class Supervisor:
    """Runs predictions on a worker that ``factory`` makes, and makes again when it breaks.

    ``async with`` starts it; leaving ends it. Predictions may come before the worker is ready: they wait.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        options: SupervisorOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._factory = factory
        self._options = options or SupervisorOptions()
        self._clock = clock
        self._state = State.STOPPED
        self._changed = asyncio.Event()
        self._restarts = Restarts()
        self._starts = 0
        self._trouble: PilotlightError | None = None
        self._queue = TicketQueue(self._options.max_waiting)
        self._worker: WorkerLike | None = None
        self._broken: asyncio.Future[WorkerError] | None = None
        self._draining = False
        self._owner: asyncio.Task[None] | None = None
        self._cancels: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._become(State.STARTING)
        self._owner = asyncio.create_task(self._own())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.drain(self._options.stop_grace_s if kind is None else 0)
        finally:
            assert self._owner is not None, "this is a bug: __aenter__ makes the owner"
            self._owner.cancel()
            for task in self._cancels:
                task.cancel()
            await asyncio.wait([self._owner, *self._cancels])
            with suppress(asyncio.CancelledError):
                await self._owner

    @property
    def status(self) -> SupervisorStatus:
        """Where it stands."""
        return SupervisorStatus(self._state, self._queue.running, self._queue.waiting, self._starts, self._trouble)

    @property
    def ready(self) -> bool:
        """Whether a worker takes predictions; not any more once it is known to be broken, before the state says so."""
        return self._state is State.READY and self._broken is not None and not self._broken.done()

    async def wait_ready(self, timeout_s: float) -> None:
        """Waits until a worker is ready.

        Raises:
            PilotlightError: it is parked or stopped, with the reason of the last failure and its logs.
            WorkerTimeoutError: none within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._state is not State.READY:
                    self._raise_if_over()
                    await self._changed.wait()
        except TimeoutError:
            raise WorkerTimeoutError(f"no worker became ready within {timeout_s:g} s; it is {self._state}") from None

    async def wait_change(self, seen: State) -> State:
        """Waits until the state is another one than ``seen``, and returns it."""
        while self._state is seen:
            await self._changed.wait()
        return self._state

    async def stream(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """As ``Worker.stream``, after waiting for a worker and a slot. Leaving early cancels the prediction.

        Raises:
            InputError: an input is wrong.
            WorkerBusyError: too many are waiting.
            WorkerCrashedError: the worker broke while it ran.
            SetupFailedError: it is parked (or whatever error parked it); carries the logs.
            WorkerError: it is ending.
        """
        self._raise_if_over()
        if self._draining:
            raise WorkerError("the supervisor is stopping and takes no more predictions")
        ticket = self._queue.admit(check_prediction_id(prediction_id or new_prediction_id()), inputs, context)
        try:
            async with aclosing(ticket.read()) as events:
                async for event in events:
                    yield event
        finally:
            self._cancel(ticket)

    async def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        prediction_id: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Prediction:
        """As ``stream``, for the end only: a failed prediction is returned, and ``raise_for_status`` raises for it."""
        return await last_prediction(self.stream(inputs, prediction_id=prediction_id, context=context))

    def cancel(self, prediction_id: str) -> bool:
        """Cancels a prediction that waits or runs; ``False`` when there is none.

        One that waits ends at once. One that runs ends when the predictor heeds it, or when its worker is killed after
        ``cancel_grace_s``, which also fails the others on that worker.
        """
        ticket = self._queue.find(prediction_id)
        if ticket is None or ticket.ended:
            return False
        self._cancel(ticket)
        return True

    async def drain(self, deadline_s: float) -> bool:
        """Takes no more predictions, ends those that wait, and says whether the running ones end in time."""
        self._draining = True
        self._queue.fail_waiting(WorkerError("the supervisor is stopping; the prediction was still waiting"))
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._queue.settle()
        return self._queue.running == 0

    async def _own(self) -> None:
        """The life of all workers, one after the other."""
        try:
            while not self._restarts.parked(self._options.restarts):
                delay_s = self._restarts.delay_s(self._clock())
                if delay_s > 0:
                    self._become(State.WAITING)
                    await asyncio.sleep(delay_s)
                self._become(State.STARTING)
                await self._live(self._factory())
            self._become(State.PARKED)
        except PilotlightError as error:  # not the worker's: starting it again would only raise it again
            self._trouble = error
            self._become(State.PARKED)
        finally:
            if self._state is not State.PARKED:
                self._become(State.STOPPED)
            self._queue.fail_waiting(self._verdict())

    async def _live(self, worker: WorkerLike) -> None:
        """The life of one worker, from its start until it breaks."""
        policy = self._options.restarts
        self._starts += 1
        grace_s = 0.0
        try:
            await worker.start()
            await worker.wait_ready(self._options.setup_timeout_s)
            self._restarts = self._restarts.became_ready(self._clock())
            self._trouble = await self._serve(worker)
            self._restarts = self._restarts.broke(policy, self._clock())
        except WorkerError as error:
            self._trouble = error
            self._restarts = self._restarts.setup_failed(policy, self._clock())
        except asyncio.CancelledError:
            grace_s = _LEAVE_S
            raise
        finally:
            await worker.stop(grace_s)

    async def _serve(self, worker: WorkerLike) -> WorkerError:
        """Runs predictions until the worker breaks, and returns why."""
        self._worker = worker
        self._broken = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(self._serve_slot(worker, self._broken)) for _ in range(worker.slots)]
        tasks.append(asyncio.create_task(self._watch(worker, self._broken)))
        self._become(State.READY)
        try:
            # Not awaited itself: a cancelled task cancels the future that it awaits.
            await asyncio.wait([self._broken])
            return self._broken.result()
        finally:
            # Before the process is killed, so that callers hear of it first.
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._worker = None

    async def _serve_slot(self, worker: WorkerLike, broken: asyncio.Future[WorkerError]) -> None:
        while not broken.done():
            ticket = await self._queue.next()
            if broken.done():
                self._queue.put_back(ticket)
                return
            await self._run(worker, ticket, broken)

    async def _run(self, worker: WorkerLike, ticket: QueuedPrediction, broken: asyncio.Future[WorkerError]) -> None:
        ticket.running = True
        last: Completed | None = None
        stream = worker.stream(ticket.inputs, prediction_id=ticket.id, context=ticket.context)
        try:
            async with asyncio.timeout(None) as ticket.limit, aclosing(stream) as events:
                async for event in events:
                    if isinstance(event, Completed):
                        last = event
                    else:
                        ticket.put(event)
        except TimeoutError:
            held = f"prediction {ticket.id} kept its slot for {self._options.cancel_grace_s:g} s after its cancel"
            _set(broken, WorkerTimeoutError(held))
            ticket.fail(WorkerCrashedError(held))
        except (WorkerCrashedError, WorkerTimeoutError, WorkerBusyError) as error:
            # Busy, although we count the slots: the server has lost one.
            _set(broken, error)
            ticket.fail(error)
        except PilotlightError as error:
            ticket.fail(error)
        except asyncio.CancelledError:
            why = broken.result() if broken.done() else WorkerError("the supervisor is stopping")
            ticket.fail(WorkerCrashedError(f"the worker was killed: {why}", logs=why.logs))
            raise
        finally:
            ticket.limit = None
            self._queue.forget(ticket)
            # Not before the slot and the id are free again.
            if last is not None:
                ticket.put(last)

    async def _watch(self, worker: WorkerLike, broken: asyncio.Future[WorkerError]) -> None:
        """Asks the worker how it is, over and over."""
        bad = 0
        while bad < self._options.unhealthy_checks:
            await asyncio.sleep(self._options.health_interval_s)
            try:
                health = await worker.health()
            except WorkerCrashedError as error:
                _set(broken, error)
                return
            except WorkerError as error:
                bad, last_error = bad + 1, error
                continue
            if health.lost:
                _set(broken, WorkerCrashedError(f"the Python process of the Cog server is gone: {health.error}"))
                return
            last_error = WorkerError(f"the worker says that it is unhealthy: {health.error}")
            # A prediction may hold the interpreter for as long as it likes; the healthcheck cannot run meanwhile.
            excused = self._queue.running > 0 and "timed out" in (health.error or "").lower()
            bad = 0 if health.ready or excused else bad + 1
        _set(broken, last_error)

    def _cancel(self, ticket: QueuedPrediction) -> None:
        if ticket.ended or ticket.canceled:
            return
        ticket.canceled = True
        if not ticket.running:
            ticket.put(Completed(Prediction(ticket.id, Status.CANCELED)))
            self._queue.forget(ticket)
            return
        if ticket.limit is not None:
            ticket.limit.reschedule(asyncio.get_running_loop().time() + self._options.cancel_grace_s)
        if self._worker is not None:
            task = asyncio.create_task(_ask_to_cancel(self._worker, ticket))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    def _become(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()

    def _raise_if_over(self) -> None:
        if self._state in (State.PARKED, State.STOPPED):
            raise self._verdict()

    def _verdict(self) -> PilotlightError:
        """Why there will be no more workers."""
        if self._state is not State.PARKED or self._trouble is None:
            return WorkerError("the supervisor is not running")
        if isinstance(self._trouble, WorkerError):
            message = f"given up after {self._restarts.failed_setups} failed starts in a row: {self._trouble}"
            return type(self._trouble)(message, logs=self._trouble.logs)
        return again(self._trouble)


async def _ask_to_cancel(worker: WorkerLike, ticket: QueuedPrediction) -> None:
    with suppress(WorkerError):  # a worker that is gone has cancelled everything
        while not ticket.ended:
            found = await worker.cancel(ticket.id)
            await asyncio.sleep(_CANCEL_AGAIN_S if found else _CANCEL_RETRY_S)


def _set(broken: asyncio.Future[WorkerError], error: WorkerError) -> None:
    if not broken.done():
        broken.set_result(error)
