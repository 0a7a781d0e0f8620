"""The queue of one version and the slots of its workers; no worker gets more predictions than it has slots."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Protocol

from pilotlight.errors import (
    PilotlightError,
    SetupFailedError,
    StoreError,
    WorkerBusyError,
    WorkerError,
    WorkerTimeoutError,
)
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.autoscaler import Limits, retry_after_s
from pilotlight.gateway.scheduler.budget import WorkerBudget
from pilotlight.gateway.scheduler.fair_queue import FairQueue, has_room
from pilotlight.gateway.scheduler.fleet import Fleet, Replica
from pilotlight.gateway.scheduler.listeners import Listeners
from pilotlight.gateway.scheduler.metrics import Gauges
from pilotlight.runtime import Event, KeeperOptions, Log, Output, WorkerLike
from pilotlight.types import Prediction, Status

_LOG = logging.getLogger(__name__)

# From the inputs of a prediction to what its worker gets, for as long as it runs.
Prepare = Callable[[Mapping[str, Any]], contextlib.AbstractAsyncContextManager[Mapping[str, Any]]]


class Saver(Protocol):
    """Stores every step of a prediction: ``Store.save``."""

    def __call__(self, record: lifecycle.PredictionRecord, /) -> Awaitable[None]: ...


class VersionQueue:
    """Runs the predictions of one version, from ``open`` to ``close``.

    Args:
        factory: makes a worker.
        limits: of the queue and of the workers.
        save: stores every step of a prediction before anyone is told of it.
        clock: the gateway's.
        keeper_options: how each worker is kept running.
        listeners: told of every prediction; none by default.
        on_worker_ready: called with how long each start of a worker has taken.
        predict_s: says how long a prediction takes on a worker.
        budget: bounds its workers together with those of other versions, if it shares them.
        prepare: from the inputs of a prediction to what its worker gets, while it runs; the same by default.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        limits: Limits,
        *,
        save: Saver,
        clock: Clock,
        keeper_options: KeeperOptions | None = None,
        listeners: Listeners | None = None,
        on_worker_ready: Callable[[float], None] = lambda _: None,
        predict_s: Callable[[], float] = lambda: 0.0,
        budget: WorkerBudget | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self._listeners = listeners or Listeners()
        self._predict_s = predict_s
        self._save = save
        self._clock = clock
        self._prepare = prepare
        self._waiting = FairQueue()
        self._reserved: dict[str, str | None] = {}  # the owner by the id of a prediction
        self._running: dict[str, tuple[ActivePrediction, Replica]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fleet = Fleet(
            factory,
            limits,
            clock=clock,
            keeper_options=keeper_options or KeeperOptions(),
            waiting=lambda: len(self._waiting),
            on_change=self._reschedule,
            on_ready=on_worker_ready,
            budget=budget,
            waiting_since=lambda: self._waiting.oldest_at,
        )
        self._closing = False
        self._room = asyncio.Event()

    @property
    def limits(self) -> Limits:
        """The limits that apply now."""
        return self._fleet.limits

    @property
    def gauges(self) -> Gauges:
        """How many predictions and workers there are now."""
        waiting = len(self._waiting) + len(self._reserved)
        return Gauges(len(self._running), waiting, self._fleet.ready, self._fleet.starting, self.last_error is not None)

    @property
    def last_error(self) -> PilotlightError | None:
        """Why it cannot serve; ``None`` while it can, or while the next worker may."""
        return self._fleet.last_error

    @property
    def idle(self) -> bool:
        """Whether it has no predictions and no workers, not even one that is ending."""
        return self._fleet.empty and not (self._waiting or self._reserved or self._running or self._tasks)

    @property
    def retry_after_s(self) -> int:
        """When a caller who was refused may try again."""
        return retry_after_s(self.limits, self._predict_s())

    def resize(self, limits: Limits) -> None:
        """Apply other limits from now on; ``slots`` stay as they are."""
        self._fleet.limits = replace(limits, slots=self.limits.slots)
        self._reschedule()

    async def open(self) -> None:
        """Start the least number of workers."""
        await self._fleet.open()

    async def drain(self, grace_s: float) -> None:
        """Start no more predictions, and let those that run end for up to ``grace_s``.

        Those that wait stay in the store, for the next gateway; callers here stop waiting for them.
        """
        self._closing = True
        for active in self._waiting:
            active.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)

    async def close(self) -> None:
        """Stop all workers, and fail what still runs."""
        self._closing = True
        # What runs on a worker ends with it, and is then stored as failed.
        await self._fleet.close()
        await asyncio.gather(*self._tasks)

    def reserve(self, active: ActivePrediction) -> bool:
        """Reserve a slot, or else a place in the queue, for a prediction that is about to be stored.

        ``put`` or ``cancel_reservation`` must follow.

        Returns:
            Whether it is a slot: what is stored must then say that it runs.

        Raises:
            WorkerBusyError: too many are waiting, and the prediction's owner has their share of the queue.
        """
        ahead = len(self._waiting) + len(self._reserved)
        if ahead == 0 and (replica := self._fleet.free()) is not None:
            self._assign(active, replica)
            return True
        if ahead >= self.limits.max_waiting and not self._has_share(active.owner):
            self._listeners.refused(active.record)
            raise WorkerBusyError(
                f"{self.limits.max_waiting} predictions are waiting, which is the limit; try again later"
            )
        self._reserved[active.id] = active.owner
        return False

    def cancel_reservation(self, active: ActivePrediction) -> None:
        """Give back what was reserved for a prediction that could not be stored."""
        if active.id in self._running:
            self._release(active)
        else:
            self._reserved.pop(active.id, None)
            self._notify_room()

    def put(self, active: ActivePrediction) -> None:
        """Run a prediction that is stored: at once where a slot is reserved for it, else after those that wait."""
        if active.id in self._running:
            self._spawn(self._run(active, self._running[active.id][1], begun=True))
            return
        self._reserved.pop(active.id, None)
        self._waiting.append(active)
        self._reschedule()

    async def wait_room(self) -> None:
        """Wait until a place in the queue has become free."""
        await self._room.wait()

    async def cancel(self, active: ActivePrediction) -> None:
        """End a waiting prediction at once, and ask the worker of a running one to end it."""
        active.cancel_asked = True
        if self._waiting.remove(active):
            self._notify_room()
            await self._end(active, lifecycle.cancel(active.record, self._clock()))
        elif active.id in self._running:
            self._running[active.id][1].keeper.cancel(active.id)
        self._reschedule()

    async def _fail_waiting(self, error: PilotlightError) -> None:
        waiting, self._waiting = list(self._waiting), FairQueue()
        self._notify_room()
        for active in waiting:
            failed = lifecycle.fail(active.record, str(error), self._clock(), logs=_logs(active, error))
            await self._end(active, failed)

    def _has_share(self, owner: str | None) -> bool:
        waiting = self._waiting.counts() + Counter(self._reserved.values())
        return has_room(waiting, owner, self.limits.max_waiting)

    def _reschedule(self) -> None:
        """Give free slots to those that wait, and have the number of workers decided again."""
        self._dispatch()
        self._fleet.rescale()

    def _dispatch(self) -> None:
        if self._closing or not self._waiting:
            return
        error = self._fleet.unavailable
        if error is not None:
            self._spawn(self._fail_waiting(error))
            return
        while self._waiting and (replica := self._fleet.free()) is not None:
            active = self._waiting.pop(lambda: Counter(one.owner for one, _ in self._running.values()))
            self._assign(active, replica)
            self._notify_room()
            self._spawn(self._run(active, replica))

    def _assign(self, active: ActivePrediction, replica: Replica) -> None:
        replica.assign()
        self._running[active.id] = (active, replica)

    def _release(self, active: ActivePrediction) -> None:
        _, replica = self._running.pop(active.id)
        replica.release()
        # Otherwise its worker is as needed as before, and no prediction waits for its slot.
        if self._waiting or replica.running == 0:
            self._reschedule()

    async def _run(self, active: ActivePrediction, replica: Replica, *, begun: bool = False) -> None:
        """Run one prediction to its end; ``begun`` when the store already says that it runs."""
        try:
            cold_start_s = replica.cold_start_s(active.record.created_at)
            record = lifecycle.begin(active.record, self._clock(), cold_start_s=cold_start_s)
            try:
                # Before it runs, and not run otherwise: what is found as starting after a crash has never run.
                if not begun:
                    await self._save(record)
                active.update(record)
                self._listeners.started(record)
                ended = lifecycle.finish(record, await self._predict(active, record, replica), self._clock())
            except PilotlightError as error:
                ended = lifecycle.fail(record, str(error), self._clock(), logs=_logs(active, error))
            except Exception as error:  # noqa: BLE001 - a bug of ours must not leave it without an end
                _LOG.exception("prediction %s met a bug of the gateway", active.id)
                ended = lifecycle.fail(record, f"The gateway has a bug: {error!r}", self._clock(), logs=active.logs)
            await self._end(active, ended)
        finally:
            self._release(active)

    async def _predict(
        self, active: ActivePrediction, record: lifecycle.PredictionRecord, replica: Replica
    ) -> Prediction:
        if self._prepare is None:
            return await self._run_on(replica, active, record, active.inputs)
        async with self._prepare(active.inputs) as inputs:
            return await self._run_on(replica, active, record, inputs)

    async def _run_on(
        self,
        replica: Replica,
        active: ActivePrediction,
        record: lifecycle.PredictionRecord,
        inputs: Mapping[str, Any],
    ) -> Prediction:
        if active.cancel_asked:
            return Prediction(active.id, Status.CANCELED)

        def feed(event: Event) -> None:
            active.feed(event)
            if isinstance(event, Output):
                self._listeners.output(record, event.chunk, self._clock())
            elif isinstance(event, Log):
                self._listeners.log(record, event.text)

        return await self._limited(replica, active, replica.keeper.run(inputs, feed, prediction_id=active.id))

    async def _limited(
        self, replica: Replica, active: ActivePrediction, running: Coroutine[Any, Any, Prediction]
    ) -> Prediction:
        """Wait for the end of a prediction; one that runs for too long is cancelled.

        Raises:
            WorkerTimeoutError: it was, and has not ended by itself meanwhile.
            PilotlightError: its worker has failed.
        """
        limit_s, expired = self.limits.predict_timeout_s, False
        if not limit_s:
            return await running

        def expire() -> None:
            nonlocal expired
            expired = not active.cancel_asked
            replica.keeper.cancel(active.id)

        timer = asyncio.get_running_loop().call_later(limit_s, expire)
        try:
            ended = await running
        finally:
            timer.cancel()
        if expired and ended.status is Status.CANCELED:
            raise WorkerTimeoutError(
                f"the prediction ran for more than {limit_s:g} s, the limit of --predict-timeout", logs=ended.logs
            )
        return ended

    async def _end(self, active: ActivePrediction, record: lifecycle.PredictionRecord) -> None:
        """Store the last step, then tell of it; one that cannot be stored is told of as well."""
        try:
            await self._save(record)
        except StoreError as error:
            _LOG.error("prediction %s ended as %s, which could not be stored: %s", active.id, record.status, error)
        active.update(record)
        self._listeners.ended(record)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notify_room(self) -> None:
        self._room.set()
        self._room = asyncio.Event()


def _logs(active: ActivePrediction, error: PilotlightError) -> str:
    """Return what is known to have been printed about a failure: by the prediction, or else by its worker.

    A worker may have printed what belongs to predictions of other owners, except in its setup.
    """
    if active.logs or not isinstance(error, WorkerError):
        return active.logs
    return error.logs if active.owner is None or isinstance(error, SetupFailedError) else ""
