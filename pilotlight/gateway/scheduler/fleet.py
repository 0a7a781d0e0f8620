"""The workers of one version, as many as ``autoscaler.decide`` says; each has a ``Keeper`` of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pilotlight.errors import PilotlightError, WorkerError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.scheduler.autoscaler import Limits, WorkerView, decide, desired
from pilotlight.gateway.scheduler.budget import Demand, WorkerBudget
from pilotlight.runtime import Keeper, KeeperOptions, KeeperState, WorkerLike
from pilotlight.util.backoff import Backoff

_LOG = logging.getLogger(__name__)


class Replica:
    """One worker of a version, with its slots.

    Attributes:
        number: its number within the version.
        running: slots that are assigned.
        last_error: why it was given up; ``None`` unless it was.
        keeper: keeps the worker running, and runs predictions on it.

    Args:
        number: its number within the version.
        factory: makes a worker.
        keeper_options: how the worker is kept running.
        clock: the gateway's.
        on_change: called when it has become ready, or is so no longer.
        on_ready: called with how long a start has taken.
    """

    def __init__(
        self,
        number: int,
        factory: Callable[[], WorkerLike],
        keeper_options: KeeperOptions,
        clock: Clock,
        *,
        on_change: Callable[[], None],
        on_ready: Callable[[float], None],
    ) -> None:
        self.number = number
        self.running = 0
        self.last_error: PilotlightError | None = None
        self.keeper = Keeper(factory, keeper_options, on_change=self._follow)
        self._clock = clock
        self._on_change = on_change
        self._on_ready = on_ready
        self._was_ready = False
        self._start_began_at = self._ready_at = self._idle_since = clock()

    @property
    def ready(self) -> bool:
        """Whether its worker takes predictions."""
        return self.keeper.ready

    @property
    def view(self) -> WorkerView:
        """What the autoscaler needs to know of it."""
        return WorkerView(self.number, self.ready, self.running, self._idle_since)

    def cold_start_s(self, created_at: float) -> float:
        """Return how long a prediction created then has waited for this worker to start, now that it is ready."""
        return max(0.0, self._ready_at - max(created_at, self._start_began_at))

    def assign(self) -> None:
        """Take one of its slots."""
        self.running += 1

    def release(self) -> None:
        """Give a slot back."""
        self.running -= 1
        self._idle_since = self._clock()

    async def run(self) -> None:
        """Keep its worker running until it is given up, or until this task is cancelled, which stops it."""
        async with self.keeper:
            await self.keeper.wait_final()
            self.last_error = self.keeper.status.last_error

    def _follow(self, state: KeeperState) -> None:
        if state.final:
            return  # which the end of ``run`` tells
        if state is KeeperState.READY:
            self._ready_at = self._idle_since = self._clock()
            self._on_ready(self._ready_at - self._start_began_at)
        elif self._was_ready:
            self._start_began_at = self._clock()
        self._was_ready = state is KeeperState.READY
        self._on_change()


class Fleet:
    """Starts and stops the workers of a version, from ``open`` to ``close``.

    Args:
        factory: makes a worker.
        limits: how many workers, and for how long.
        clock: the gateway's.
        keeper_options: how each worker is kept running.
        waiting: says how many predictions have no slot.
        on_change: called when a worker has become ready, is so no longer, or has ended.
        on_ready: called with how long a start has taken.
        budget: bounds its workers together with those of other versions, if it shares them.
        waiting_since: says when the prediction was created that has waited for a slot for longest.

    Attributes:
        limits: those that apply now; call ``rescale`` after setting others.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        limits: Limits,
        *,
        clock: Clock,
        keeper_options: KeeperOptions,
        waiting: Callable[[], int],
        on_change: Callable[[], None],
        on_ready: Callable[[float], None],
        budget: WorkerBudget | None = None,
        waiting_since: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.limits = limits
        self._budget = budget
        self._allotted = limits.max_workers
        self._waiting_since = waiting_since
        self._factory = factory
        self._clock = clock
        self._keeper_options = keeper_options
        self._waiting = waiting
        self._on_change = on_change
        self._on_ready = on_ready
        self._replicas: dict[int, Replica] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}  # of the replicas, those that are ending included
        self._started = 0
        self._retry_at = 0.0
        self._last_error: PilotlightError | None = None
        self._rescale = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @property
    def ready(self) -> int:
        """How many workers take predictions."""
        return sum(replica.ready for replica in self._replicas.values())

    @property
    def starting(self) -> int:
        """How many workers do not take predictions yet."""
        return len(self._replicas) - self.ready

    @property
    def empty(self) -> bool:
        """Whether there is no worker, not even one that is ending."""
        return not self._tasks

    @property
    def last_error(self) -> PilotlightError | None:
        """Why no worker is ready; ``None`` while one is, or while the next one may be."""
        return None if self.ready or self._clock() >= self._retry_at else self._last_error

    @property
    def unavailable(self) -> PilotlightError | None:
        """The ``last_error``, once no worker is starting either."""
        return None if self._replicas else self.last_error

    def free(self) -> Replica | None:
        """Return the busiest worker with a free slot, so that the others can become idle and be stopped."""
        replicas = list(self._replicas.values())
        if len(replicas) > self._allotted:  # those beyond it get nothing more, and are stopped when they are idle
            replicas = sorted(replicas, key=lambda one: (-one.running, one.number))[: self._allotted]
        best: Replica | None = None
        for replica in replicas:  # by number: of equally busy ones the first is taken
            has_room = replica.running < self.limits.slots and replica.ready
            if has_room and (best is None or replica.running > best.running):
                best = replica
        return best

    def rescale(self) -> None:
        """Have the number of workers decided again soon."""
        self._rescale.set()

    def demand(self) -> Demand:
        """What it needs of the workers that it shares."""
        needed = desired(self.limits, [one.view for one in self._replicas.values()], self._waiting())
        return Demand(needed, len(self._tasks), self.limits.min_workers, self._waiting_since())

    async def open(self) -> None:
        """Start the least number of workers."""
        if self._budget is not None:
            self._budget.join(self)
        self._owner = asyncio.create_task(self._scale_always())

    async def close(self) -> None:
        """Stop all workers, which ends what runs on them."""
        ending = [*self._tasks.values(), *([self._owner] if self._owner else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._budget is not None:
            self._budget.leave(self)

    async def _scale_always(self) -> None:
        """Scale whenever something has changed, and when time alone changes the decision."""
        while True:
            self._rescale.clear()
            again_at = self._scale()
            timeout_s = None if again_at is None else max(0.0, again_at - self._clock())
            try:
                async with asyncio.timeout(timeout_s):
                    await self._rescale.wait()
            except TimeoutError:
                continue

    def _scale(self) -> float | None:
        """Do what the autoscaler decides, and return when to ask it again."""
        views = [replica.view for replica in self._replicas.values()]
        self._allotted = self.limits.max_workers if self._budget is None else self._budget.allotted(self)
        decision = decide(
            self.limits, views, self._waiting(), self._clock(), retry_at=self._retry_at, allotted=self._allotted
        )
        for number in decision.stop:
            del self._replicas[number]
            self._tasks[number].cancel()
        # One that is still ending may hold memory that the next one needs: it counts until it has ended.
        room = self._allotted - len(self._tasks)
        if self._budget is not None:
            room = min(room, self._budget.room())
        for _ in range(min(decision.start, room)):
            self._start()
        return decision.again_at

    def _start(self) -> None:
        self._started += 1
        replica = Replica(
            self._started,
            self._factory,
            self._keeper_options,
            self._clock,
            on_change=self._on_change,
            on_ready=self._on_ready,
        )
        self._replicas[replica.number] = replica
        task = asyncio.create_task(replica.run())
        self._tasks[replica.number] = task
        task.add_done_callback(lambda ended: self._ended(replica, ended))

    def _ended(self, replica: Replica, ended: asyncio.Task[None]) -> None:
        """Remove a worker that was stopped, or given up; after the latter the next start has to wait."""
        del self._tasks[replica.number]
        self._replicas.pop(replica.number, None)
        last_error = replica.last_error
        if not ended.cancelled() and (bug := ended.exception()) is not None:
            _LOG.error("a worker met a bug of the gateway", exc_info=bug)
            last_error = WorkerError(f"The gateway has a bug: {bug!r}")
        if last_error is not None:
            self._last_error = last_error
            # The keeper has tried several times, with growing delays: from here on the delay stays the same.
            hold_s = self.limits.hold_s
            self._retry_at = Backoff(first_s=hold_s, max_s=hold_s).retry_at(1, self._clock())
        self._on_change()
        if self._budget is not None:
            self._budget.changed(besides=self)
