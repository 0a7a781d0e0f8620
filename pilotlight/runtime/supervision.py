"""What a supervisor needs, what it can be told, and what it tells."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pilotlight.config.serving import WorkerSettings
from pilotlight.errors import PilotlightError
from pilotlight.runtime.events import Event
from pilotlight.runtime.health import Health
from pilotlight.runtime.restarts import RestartPolicy


class WorkerLike(Protocol):
    """What a supervisor needs of a worker: ``Worker``, or ``FakeWorker`` in tests."""

    @property
    def slots(self) -> int: ...
    async def start(self) -> None: ...
    async def wait_ready(self, timeout_s: float) -> Health: ...
    async def health(self) -> Health: ...
    def stream(
        self, inputs: Mapping[str, Any], *, prediction_id: str | None = None, context: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Event, None]: ...
    async def cancel(self, prediction_id: str) -> bool: ...
    async def stop(self, grace_s: float = 5.0) -> None: ...


class State(StrEnum):
    """Where a supervisor stands; it is parked when setup has failed too often, and stays so."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    PARKED = "parked"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """The limits.

    Attributes:
        restarts: when to start again, and when to give up.
        setup_timeout_s: how long a start may take.
        cancel_grace_s: how long a cancelled prediction may keep its slot before its worker is killed.
        stop_grace_s: how long running predictions may go on when the supervisor ends.
        health_interval_s: how often to ask the worker how it is.
        unhealthy_checks: how many bad answers in a row break a worker; a crash needs only one.
        max_waiting: how many predictions may wait for a slot; further ones are refused.
    """

    restarts: RestartPolicy = field(default_factory=RestartPolicy)
    setup_timeout_s: float = WorkerSettings().setup_timeout_s
    cancel_grace_s: float = 5.0
    stop_grace_s: float = 10.0
    health_interval_s: float = 1.0
    unhealthy_checks: int = 3
    max_waiting: int = 1024


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """A snapshot: ``starts`` counts workers, ``last_error`` is what last went wrong."""

    state: State
    running: int
    waiting: int
    starts: int
    last_error: PilotlightError | None
