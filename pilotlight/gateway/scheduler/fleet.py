"""The workers of one version, as many as scaling wants.

Each is kept up by a ``Supervisor`` of its own. What ``scaling.decide`` says is done here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pilotlight.errors import PilotlightError, WorkerError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.scheduler.autoscaler import Limits, decide, desired
from pilotlight.gateway.scheduler.budget import Demand, WorkerBudget
from pilotlight.gateway.scheduler.replica import Replica
from pilotlight.runtime import SupervisorOptions, WorkerLike

_LOG = logging.getLogger(__name__)


class Fleet:
    """Starts and stops them, from ``open`` to ``close``.

    Args:
        factory: makes a worker.
        limits: how many, and for how long.
        clock: the gateway's.
        supervision: how each worker is kept up.
        waiting: says how many predictions have no slot.
        on_change: called when a worker has become ready, is so no longer, or has gone.
        on_ready: called with how long a start has taken.
        budget: bounds its workers together with those of other versions, if it shares them.
        waiting_since: says when the prediction was created that has waited for a slot for longest.

    Attributes:
        limits: those of now; call ``rescale`` after setting others.
    """

    def __init__(
        self,
        factory: Callable[[], WorkerLike],
        limits: Limits,
        *,
        clock: Clock,
        supervision: SupervisorOptions,
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
        self._supervision = supervision
        self._waiting = waiting
        self._on_change = on_change
        self._on_ready = on_ready
        self._replicas: dict[int, Replica] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._started = 0
        self._held_until = 0.0
        self._trouble: PilotlightError | None = None
        self._touched = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @property
    def ready(self) -> int:
        """How many take predictions."""
        return sum(replica.ready for replica in self._replicas.values())

    @property
    def starting(self) -> int:
        """How many do not yet."""
        return len(self._replicas) - self.ready

    @property
    def gone(self) -> bool:
        """Whether there is none, not even one that is ending."""
        return not self._workers

    @property
    def last_error(self) -> PilotlightError | None:
        """Why there is none that is ready; ``None`` while there is, or might be with the next one."""
        return None if self.ready or self._clock() >= self._held_until else self._trouble

    @property
    def unavailable(self) -> PilotlightError | None:
        """The ``last_error``, once there is nothing left to wait for."""
        return None if self._replicas else self.last_error

    def free(self) -> Replica | None:
        """The busiest that has room, so that the others can become idle, and end."""
        replicas = list(self._replicas.values())
        if len(replicas) > self._allotted:  # those beyond it get nothing more, and are stopped when they are idle
            replicas = sorted(replicas, key=lambda one: (-one.running, one.number))[: self._allotted]
        roomy = [one for one in replicas if one.running < self.limits.slots and one.ready]
        return max(roomy, key=lambda one: (one.running, -one.number)) if roomy else None

    def rescale(self) -> None:
        """Has it looked at soon how many there should be."""
        self._touched.set()

    def demand(self) -> Demand:
        """What it needs of the workers that it shares."""
        needed = desired(self.limits, [one.view for one in self._replicas.values()], self._waiting())
        return Demand(needed, len(self._workers), self.limits.min_workers, self._waiting_since())

    async def open(self) -> None:
        """Starts the least number."""
        if self._budget is not None:
            self._budget.join(self)
        self._owner = asyncio.create_task(self._own())

    async def close(self) -> None:
        """Ends all of them, and with them what runs there."""
        ending = [*self._workers.values(), *([self._owner] if self._owner else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._budget is not None:
            self._budget.leave(self)

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
        views = [replica.view for replica in self._replicas.values()]
        self._allotted = self.limits.max_workers if self._budget is None else self._budget.allotted(self)
        decision = decide(
            self.limits, views, self._waiting(), self._clock(), held_until=self._held_until, allotted=self._allotted
        )
        for number in decision.stop:
            del self._replicas[number]
            self._workers[number].cancel()
        # One that is still ending may hold memory that the next one needs: it counts until it has gone.
        room = self._allotted - len(self._workers)
        if self._budget is not None:
            room = min(room, self._budget.room())
        for _ in range(min(decision.start, room)):
            self._start()
        return decision.again_at

    def _start(self) -> None:
        self._started += 1
        replica = Replica(self._started, self._factory, self._supervision, self._clock)
        self._replicas[replica.number] = replica
        task = replica.start(on_change=self._on_change, on_ready=self._on_ready)
        self._workers[replica.number] = task
        task.add_done_callback(lambda ended: self._ended(replica, ended))

    def _ended(self, replica: Replica, ended: asyncio.Task[None]) -> None:
        """A worker has been stopped, or given up."""
        del self._workers[replica.number]
        self._replicas.pop(replica.number, None)
        last_error = replica.last_error
        if not ended.cancelled() and (bug := ended.exception()) is not None:
            _LOG.error("a worker met a bug of the gateway", exc_info=bug)
            last_error = WorkerError(f"The gateway has a bug: {bug!r}")
        if last_error is not None:
            self._trouble = last_error
            self._held_until = self._clock() + self.limits.hold_s
        self._on_change()
        if self._budget is not None:
            self._budget.changed(besides=self)
