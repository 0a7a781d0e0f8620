"""The queue of one version and its workers.

The pool owns the queue: a worker is given no more predictions than it has slots, each worker being kept up by a
``Supervisor`` of its own. What ``scaling.decide`` says is done here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from pilotlight.errors import PilotlightError, StoreError, WorkerBusyError, WorkerError
from pilotlight.gateway import states
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.live import Live
from pilotlight.gateway.metrics import Gauges, Metrics
from pilotlight.gateway.replica import Replica
from pilotlight.gateway.scaling import Limits, decide, retry_after_s
from pilotlight.runtime import Completed, Output, SupervisorOptions, WorkerLike
from pilotlight.types import Prediction, Status

_LOG = logging.getLogger(__name__)


Prepare = Callable[[Mapping[str, Any]], contextlib.AbstractAsyncContextManager[Mapping[str, Any]]]


class Saver(Protocol):
    """Keeps what has become of a prediction: ``Store.save``."""

    def __call__(self, record: states.Record, /) -> Awaitable[None]: ...


class Pool:
    """Runs the predictions of one version, from ``open`` to ``close``.

    Args:
        factory: makes a worker.
        limits: the bounds of the queue and of the workers.
        save: keeps every step of a prediction before anyone is told of it.
        clock: the gateway's.
        supervision: how each worker is kept up.
        metrics: where to count; those of the pool alone by default.
        prepare: from the inputs of a prediction to what its worker gets, while it runs; the same by default.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        limits: Limits,
        *,
        save: Saver,
        clock: Clock,
        supervision: SupervisorOptions | None = None,
        metrics: Metrics | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self.limits = limits
        self.metrics = metrics or Metrics()
        self._factory = factory
        self._save = save
        self._clock = clock
        self._prepare = prepare or contextlib.nullcontext
        self._supervision = supervision or SupervisorOptions()
        self._waiting: deque[Live] = deque()
        self._reserved = 0
        self._running: dict[str, tuple[Live, Replica]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._replicas: dict[int, Replica] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._started = 0
        self._held_until = 0.0
        self._trouble: PilotlightError | None = None
        self._closing = False
        self._touched = asyncio.Event()
        self._room = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @property
    def gauges(self) -> Gauges:
        """How it stands."""
        ready = sum(replica.ready for replica in self._replicas.values())
        waiting = len(self._waiting) + self._reserved
        return Gauges(len(self._running), waiting, ready, len(self._replicas) - ready, self.trouble is not None)

    @property
    def trouble(self) -> PilotlightError | None:
        """Why it cannot serve; ``None`` while it can, or might with the next worker."""
        ready = any(replica.ready for replica in self._replicas.values())
        return None if ready or self._clock() >= self._held_until else self._trouble

    @property
    def asleep(self) -> bool:
        """Whether it has nothing to do and no worker, not even one that is ending."""
        return not (self._waiting or self._reserved or self._running or self._tasks or self._workers)

    def resize(self, limits: Limits) -> None:
        """From now on with these limits; ``slots`` stay as they are."""
        self.limits = replace(limits, slots=self.limits.slots)
        self._touch()

    async def open(self) -> None:
        """Starts its least number of workers."""
        self._owner = asyncio.create_task(self._own())

    async def drain(self, grace_s: float) -> None:
        """Starts no more predictions, and lets those that run end for up to ``grace_s``.

        Those that wait stay as they are, for the next gateway; nobody here need wait for them any longer.
        """
        self._closing = True
        for live in self._waiting:
            live.abandon()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)

    async def close(self) -> None:
        """Ends all workers, and fails what still runs."""
        self._closing = True
        ending = [*self._workers.values(), *([self._owner] if self._owner else [])]
        for task in ending:
            task.cancel()
        # The end of a worker is the end of what runs on it, which is then kept as failed.
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.gather(*self._tasks)

    def reserve(self) -> None:
        """Takes a place in the queue, for a prediction that is being stored; ``release`` must follow.

        Raises:
            WorkerBusyError: too many are waiting.
        """
        if len(self._waiting) + self._reserved >= self.limits.max_waiting:
            self.metrics.refused += 1
            raise WorkerBusyError(
                f"{self.limits.max_waiting} predictions are waiting, which is the limit; try again later"
            )
        self._reserved += 1

    def release(self) -> None:
        """Gives a reserved place back."""
        self._reserved -= 1
        self._make_room()

    def put(self, live: Live) -> None:
        """Puts a stored prediction at the end of the queue."""
        self._waiting.append(live)
        self._touch()

    @property
    def retry_after_s(self) -> int:
        """When a caller who was refused may try again."""
        return retry_after_s(self.limits, self.metrics.mean_predict_s)

    async def wait_room(self) -> None:
        """Waits until something has left the queue."""
        await self._room.wait()

    async def cancel(self, live: Live) -> None:
        """Ends a waiting prediction at once, and asks the worker of a running one to end it."""
        live.cancel_asked = True
        if live in self._waiting:
            self._waiting.remove(live)
            self._make_room()
            await self._end(live, states.cancel(live.record, self._clock()))
        elif live.id in self._running:
            self._running[live.id][1].supervisor.cancel(live.id)
        self._touch()

    async def _own(self) -> None:
        """Scales whenever something has happened, and when time alone changes the answer."""
        while True:
            self._touched.clear()
            again_at = self._scale()
            timeout_s = None if again_at is None else max(0.0, again_at - self._clock())
            try:
                async with asyncio.timeout(timeout_s):
                    await self._touched.wait()
            except TimeoutError:
                continue

    def _scale(self) -> float | None:
        now = self._clock()
        views = [replica.view for replica in self._replicas.values()]
        decision = decide(self.limits, views, len(self._waiting), now, held_until=self._held_until)
        for number in decision.stop:
            del self._replicas[number]
            self._workers[number].cancel()
        # One that is still ending may hold memory that the next one needs: it counts until it has gone.
        for _ in range(min(decision.start, self.limits.max_workers - len(self._workers))):
            self._start()
        return decision.again_at

    def _start(self) -> None:
        self._started += 1
        replica = Replica(self._started, self._factory, self._supervision, self._clock)
        self._replicas[replica.number] = replica
        task = replica.start(on_change=self._touch, on_ready=self.metrics.worker_start_s.observe)
        self._workers[replica.number] = task
        task.add_done_callback(lambda ended: self._gone(replica, ended))

    def _gone(self, replica: Replica, ended: asyncio.Task[None]) -> None:
        """A worker has been stopped, or given up."""
        del self._workers[replica.number]
        self._replicas.pop(replica.number, None)
        trouble = replica.trouble
        if not ended.cancelled() and (bug := ended.exception()) is not None:
            _LOG.error("a worker met a bug of the gateway", exc_info=bug)
            trouble = WorkerError(f"The gateway has a bug: {bug!r}")
        if trouble is not None:
            self._trouble = trouble
            self._held_until = self._clock() + self.limits.hold_s
        self._touch()

    async def _fail_waiting(self, trouble: PilotlightError) -> None:
        waiting, self._waiting = list(self._waiting), deque()
        self._make_room()
        for live in waiting:
            failed = states.fail(live.record, str(trouble), self._clock(), logs=_logs(live, trouble))
            await self._end(live, failed)

    def _touch(self) -> None:
        """Something has happened: hand out what can be, and have the rest looked at."""
        self._dispatch()
        self._touched.set()

    def _dispatch(self) -> None:
        if self._closing:
            return
        trouble = self.trouble
        if trouble is not None and self._waiting and not self._replicas:
            self._spawn(self._fail_waiting(trouble))
            return
        free = [replica for replica in self._replicas.values() if replica.ready]
        while self._waiting:
            # The busiest that has room: the others can then become idle, and end.
            roomy = [replica for replica in free if replica.running < self.limits.slots]
            if not roomy:
                return
            replica = max(roomy, key=lambda one: (one.running, -one.number))
            live = self._waiting.popleft()
            replica.running += 1
            self._running[live.id] = (live, replica)
            self._make_room()
            self._spawn(self._run(live, replica))

    async def _run(self, live: Live, replica: Replica) -> None:
        """One prediction on a worker."""
        try:
            record = states.begin(live.record, self._clock(), cold_start_s=replica.cold_start_s(live.record.created_at))
            self.metrics.began(record)
            try:
                # Before it runs, and not run otherwise: what is found as starting after a crash has never run.
                await self._save(record)
                live.update(record)
                ended = states.finish(record, await self._predict(live, replica), self._clock())
            except PilotlightError as error:
                ended = states.fail(record, str(error), self._clock(), logs=_logs(live, error))
            except Exception as error:  # noqa: BLE001 - a bug of ours must not leave it without an end
                _LOG.exception("prediction %s met a bug of the gateway", live.id)
                ended = states.fail(record, f"The gateway has a bug: {error!r}", self._clock(), logs=live.logs)
            await self._end(live, ended)
        finally:
            del self._running[live.id]
            replica.gave_back()
            self._touch()

    async def _predict(self, live: Live, replica: Replica) -> Prediction:
        async with self._prepare(live.inputs) as inputs:
            if live.cancel_asked:
                return Prediction(live.id, Status.CANCELED)
            return await self._stream(live, replica, inputs)

    async def _stream(self, live: Live, replica: Replica, inputs: Mapping[str, Any]) -> Prediction:
        said_at: float | None = None
        stream = replica.supervisor.stream(inputs, prediction_id=live.id)
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Completed):
                    return event.prediction
                live.feed(event)
                if isinstance(event, Output):
                    now = self._clock()
                    if said_at is None:
                        self.metrics.first_chunk_s.observe(now - live.record.created_at)
                    else:
                        self.metrics.between_chunks_s.observe(now - said_at)
                    said_at = now
        raise AssertionError("this is a bug: a stream ended without Completed")

    async def _end(self, live: Live, record: states.Record) -> None:
        """Stores the last step, then tells of it; one that cannot be stored is told all the same."""
        try:
            await self._save(record)
        except StoreError as error:
            _LOG.error("prediction %s ended as %s, which could not be stored: %s", live.id, record.status, error)
        live.update(record)
        self.metrics.completed(record)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _make_room(self) -> None:
        self._room.set()
        self._room = asyncio.Event()


def _logs(live: Live, error: PilotlightError) -> str:
    """What is known to have been printed about a failure: by the prediction, or else by its worker."""
    return live.logs or (error.logs if isinstance(error, WorkerError) else "")
