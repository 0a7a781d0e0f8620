"""The queue of one version, and what runs on its workers: none is given more predictions than it has slots."""

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
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.autoscaler import Limits, retry_after_s
from pilotlight.gateway.scheduler.budget import WorkerBudget
from pilotlight.gateway.scheduler.fleet import Fleet
from pilotlight.gateway.scheduler.listeners import Listeners
from pilotlight.gateway.scheduler.metrics import Gauges
from pilotlight.gateway.scheduler.replica import Replica
from pilotlight.runtime import Completed, Log, Output, SupervisorOptions, WorkerLike
from pilotlight.types import Prediction, Status

_LOG = logging.getLogger(__name__)


Prepare = Callable[[Mapping[str, Any]], contextlib.AbstractAsyncContextManager[Mapping[str, Any]]]


class Saver(Protocol):
    """Keeps what has become of a prediction: ``Store.save``."""

    def __call__(self, record: lifecycle.PredictionRecord, /) -> Awaitable[None]: ...


class Pool:
    """Runs the predictions of one version, from ``open`` to ``close``.

    Args:
        factory: makes a worker.
        limits: the bounds of the queue and of the workers.
        save: keeps every step of a prediction before anyone is told of it.
        clock: the gateway's.
        supervision: how each worker is kept up.
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
        supervision: SupervisorOptions | None = None,
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
        self._prepare = prepare or contextlib.nullcontext
        self._waiting: deque[ActivePrediction] = deque()
        self._reserved: set[str] = set()
        self._running: dict[str, tuple[ActivePrediction, Replica]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fleet = Fleet(
            factory,
            limits,
            clock=clock,
            supervision=supervision or SupervisorOptions(),
            waiting=lambda: len(self._waiting),
            on_change=self._touch,
            on_ready=on_worker_ready,
            budget=budget,
            waiting_since=self._waiting_since,
        )
        self._closing = False
        self._room = asyncio.Event()

    @property
    def limits(self) -> Limits:
        """Those of now."""
        return self._fleet.limits

    @property
    def gauges(self) -> Gauges:
        """How it stands."""
        waiting = len(self._waiting) + len(self._reserved)
        return Gauges(len(self._running), waiting, self._fleet.ready, self._fleet.starting, self.last_error is not None)

    @property
    def last_error(self) -> PilotlightError | None:
        """Why it cannot serve; ``None`` while it can, or might with the next worker."""
        return self._fleet.last_error

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do and no worker, not even one that is ending."""
        return self._fleet.gone and not (self._waiting or self._reserved or self._running or self._tasks)

    @property
    def retry_after_s(self) -> int:
        """When a caller who was refused may try again."""
        return retry_after_s(self.limits, self._predict_s())

    def resize(self, limits: Limits) -> None:
        """From now on with these limits; ``slots`` stay as they are."""
        self._fleet.limits = replace(limits, slots=self.limits.slots)
        self._touch()

    async def open(self) -> None:
        """Starts its least number of workers."""
        await self._fleet.open()

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
        # The end of a worker is the end of what runs on it, which is then kept as failed.
        await self._fleet.close()
        await asyncio.gather(*self._tasks)

    def reserve(self, live: ActivePrediction) -> bool:
        """Takes a slot for one that is about to be stored, or else a place in the queue; ``put`` or ``release`` follow.

        Returns:
            Whether it is a slot: what is stored must then say that it runs.

        Raises:
            WorkerBusyError: too many are waiting.
        """
        ahead = len(self._waiting) + len(self._reserved)
        if ahead == 0 and (replica := self._fleet.free()) is not None:
            self._seat(live, replica)
            return True
        if ahead >= self.limits.max_waiting:
            self._listeners.refused(live.record)
            raise WorkerBusyError(
                f"{self.limits.max_waiting} predictions are waiting, which is the limit; try again later"
            )
        self._reserved.add(live.id)
        return False

    def release(self, live: ActivePrediction) -> None:
        """Gives back what was reserved for one that could not be stored."""
        if live.id in self._running:
            self._unseat(live)
        else:
            self._reserved.discard(live.id)
            self._make_room()

    def put(self, live: ActivePrediction) -> None:
        """Runs one that is stored: at once where a slot is reserved for it, else after those that wait."""
        if live.id in self._running:
            self._spawn(self._run(live, self._running[live.id][1], begun=True))
            return
        self._reserved.discard(live.id)
        self._waiting.append(live)
        self._touch()

    async def wait_room(self) -> None:
        """Waits until something has left the queue."""
        await self._room.wait()

    async def cancel(self, live: ActivePrediction) -> None:
        """Ends a waiting prediction at once, and asks the worker of a running one to end it."""
        live.cancel_asked = True
        if live in self._waiting:
            self._waiting.remove(live)
            self._make_room()
            await self._end(live, lifecycle.cancel(live.record, self._clock()))
        elif live.id in self._running:
            self._running[live.id][1].supervisor.cancel(live.id)
        self._touch()

    async def _fail_waiting(self, last_error: PilotlightError) -> None:
        waiting, self._waiting = list(self._waiting), deque()
        self._make_room()
        for live in waiting:
            failed = lifecycle.fail(live.record, str(last_error), self._clock(), logs=_logs(live, last_error))
            await self._end(live, failed)

    def _waiting_since(self) -> float | None:
        return self._waiting[0].record.created_at if self._waiting else None

    def _touch(self) -> None:
        """Something has happened: hand out what can be, and have the number of workers looked at."""
        self._dispatch()
        self._fleet.rescale()

    def _dispatch(self) -> None:
        if self._closing or not self._waiting:
            return
        last_error = self._fleet.unavailable
        if last_error is not None:
            self._spawn(self._fail_waiting(last_error))
            return
        while self._waiting and (replica := self._fleet.free()) is not None:
            live = self._waiting.popleft()
            self._seat(live, replica)
            self._make_room()
            self._spawn(self._run(live, replica))

    def _seat(self, live: ActivePrediction, replica: Replica) -> None:
        replica.running += 1
        self._running[live.id] = (live, replica)

    def _unseat(self, live: ActivePrediction) -> None:
        _, replica = self._running.pop(live.id)
        replica.gave_back()
        # Otherwise its worker is as needed as before, and nobody waits for its slot.
        if self._waiting or replica.running == 0:
            self._touch()

    async def _run(self, live: ActivePrediction, replica: Replica, *, begun: bool = False) -> None:
        """One prediction on a worker; ``begun`` when the store knows already that it runs."""
        try:
            record = lifecycle.begin(
                live.record, self._clock(), cold_start_s=replica.cold_start_s(live.record.created_at)
            )
            try:
                # Before it runs, and not run otherwise: what is found as starting after a crash has never run.
                if not begun:
                    await self._save(record)
                live.update(record)
                self._listeners.started(record)
                ended = lifecycle.finish(record, await self._predict(live, record, replica), self._clock())
            except PilotlightError as error:
                ended = lifecycle.fail(record, str(error), self._clock(), logs=_logs(live, error))
            except Exception as error:  # noqa: BLE001 - a bug of ours must not leave it without an end
                _LOG.exception("prediction %s met a bug of the gateway", live.id)
                ended = lifecycle.fail(record, f"The gateway has a bug: {error!r}", self._clock(), logs=live.logs)
            await self._end(live, ended)
        finally:
            self._unseat(live)

    async def _predict(
        self, live: ActivePrediction, record: lifecycle.PredictionRecord, replica: Replica
    ) -> Prediction:
        async with self._prepare(live.inputs) as inputs:
            if live.cancel_asked:
                return Prediction(live.id, Status.CANCELED)
            return await self._stream(live, record, replica, inputs)

    async def _stream(
        self,
        live: ActivePrediction,
        record: lifecycle.PredictionRecord,
        replica: Replica,
        inputs: Mapping[str, Any],
    ) -> Prediction:
        async with aclosing(replica.supervisor.stream(inputs, prediction_id=live.id)) as events:
            async for event in events:
                if isinstance(event, Completed):
                    return event.prediction
                live.feed(event)
                if isinstance(event, Output):
                    self._listeners.output(record, event.chunk, self._clock())
                elif isinstance(event, Log):
                    self._listeners.log(record, event.text)
        raise AssertionError("this is a bug: a stream ended without Completed")

    async def _end(self, live: ActivePrediction, record: lifecycle.PredictionRecord) -> None:
        """Stores the last step, then tells of it, also where it could not be stored."""
        try:
            await self._save(record)
        except StoreError as error:
            _LOG.error("prediction %s ended as %s, which could not be stored: %s", live.id, record.status, error)
        live.update(record)
        self._listeners.ended(record)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _make_room(self) -> None:
        self._room.set()
        self._room = asyncio.Event()


def _logs(live: ActivePrediction, error: PilotlightError) -> str:
    """What is known to have been printed about a failure: by the prediction, or else by its worker."""
    return live.logs or (error.logs if isinstance(error, WorkerError) else "")
