"""What a keeper can be told, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pilotlight.config.serving import WorkerSettings
from pilotlight.errors import PilotlightError
from pilotlight.runtime.restarts import RestartPolicy


class KeeperState(StrEnum):
    """What a keeper does now."""

    STARTING = "starting"  # a worker is on its way
    READY = "ready"  # a worker takes predictions
    WAITING = "waiting"  # the next start is put off after failures
    CRASH_LOOPING = "crash-looping"  # setup has failed too often in a row; final
    STOPPED = "stopped"  # final

    @property
    def final(self) -> bool:
        """Whether there will be no further worker."""
        return self in (KeeperState.CRASH_LOOPING, KeeperState.STOPPED)


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """The limits.

    Attributes:
        restarts: when to start again, and when to give up.
        setup_timeout_s: how long a start may take.
        cancel_grace_s: how long a cancelled prediction may keep its slot before its worker is killed.
        stop_grace_s: how long running predictions may go on when the keeper ends.
        health_interval_s: how often to ask the worker how it is.
        unhealthy_checks: how many bad answers in a row break a worker; a crash needs only one.
    """

    restarts: RestartPolicy = field(default_factory=RestartPolicy)
    setup_timeout_s: float = WorkerSettings().setup_timeout_s
    cancel_grace_s: float = 5.0
    stop_grace_s: float = 10.0
    health_interval_s: float = 1.0
    unhealthy_checks: int = 3


@dataclass(frozen=True, slots=True)
class KeeperStatus:
    """A snapshot.

    Attributes:
        state: what it does now.
        running: predictions on the worker.
        starts: workers that were started so far.
        last_error: what last went wrong.
    """

    state: KeeperState
    running: int
    starts: int
    last_error: PilotlightError | None
