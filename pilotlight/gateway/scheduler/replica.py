"""One worker of a version, kept up by its supervisor, and what the pool has to know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotlight.errors import PilotlightError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.scheduler.autoscaler import WorkerView
from pilotlight.runtime import State, Supervisor, SupervisorOptions, WorkerLike


class Replica:
    """A supervised worker.

    Attributes:
        number: its name within the pool.
        running: predictions that the pool has given it.
        trouble: why it was given up; ``None`` unless it was.
    """

    def __init__(
        self, number: int, factory: Callable[[], WorkerLike], supervision: SupervisorOptions, clock: Clock
    ) -> None:
        self.number = number
        self.running = 0
        self.last_error: PilotlightError | None = None
        self.supervisor = Supervisor(factory, supervision)
        self._clock = clock
        self._begun_at = self._ready_at = self._idle_since = clock()

    @property
    def ready(self) -> bool:
        return self.supervisor.ready

    @property
    def view(self) -> WorkerView:
        """As scaling sees it."""
        return WorkerView(self.number, self.ready, self.running, self._idle_since)

    def cold_start_s(self, created_at: float) -> float:
        """How long a prediction from then has waited for this worker to start, now that it is ready."""
        return max(0.0, self._ready_at - max(created_at, self._begun_at))

    def gave_back(self) -> None:
        """One of its predictions has ended."""
        self.running -= 1
        self._idle_since = self._clock()

    async def live(self, *, on_change: Callable[[], None], on_ready: Callable[[float], None]) -> None:
        """Its whole life: until it is given up, or until this task is cancelled, which stops it.

        Args:
            on_change: called when it has become ready, or is so no longer.
            on_ready: called with how long a start has taken.
        """
        async with self.supervisor:
            state = State.STARTING
            while True:
                was, state = state, await self.supervisor.wait_change(state)
                if state in (State.PARKED, State.STOPPED):
                    self.last_error = self.supervisor.status.last_error
                    return
                if state is State.READY:
                    self._ready_at = self._idle_since = self._clock()
                    on_ready(self._ready_at - self._begun_at)
                elif was is State.READY:
                    self._begun_at = self._clock()
                on_change()

    def start(self, *, on_change: Callable[[], None], on_ready: Callable[[float], None]) -> asyncio.Task[None]:
        """Begins its life."""
        return asyncio.create_task(self.live(on_change=on_change, on_ready=on_ready))
