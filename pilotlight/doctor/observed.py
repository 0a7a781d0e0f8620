"""The observations of a project while it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Attempt", "AttemptOutcome", "NotStarted", "Observation", "OpenedFile", "Run", "Start", "Wave"]

AttemptOutcome = Literal["refused", "succeeded", "failed", "timed_out", "crashed", "stuck"]


@dataclass(frozen=True, slots=True)
class Run:
    """One prediction that has ended; times on the monotonic clock.

    Attributes:
        first_output_s: when its first chunk came; ``None`` without one.
        chunks: of output.
        error: why it failed; ``None`` when it succeeded.
        metrics: the names of those that the predictor recorded itself.
        waited_s: for a processor, see ``waiting``; ``None`` where that is not known.
    """

    started_s: float
    ended_s: float
    first_output_s: float | None = None
    chunks: int = 1
    error: str | None = None
    metrics: tuple[str, ...] = ()
    waited_s: float | None = None

    @property
    def wall_s(self) -> float:
        return self.ended_s - self.started_s


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a worker, and its predictions one after the other.

    Attributes:
        ready_s: from the spawn to READY.
        cold_s: from the spawn to the end of the first prediction that succeeded; ``None`` without one.
        waited_s: for a processor until then; ``None`` where that is not known.
        failed: predictions that failed before the first that succeeded.
        late_s: from READY to the start of the first that succeeded.
        runs: from the first that succeeded on, all of the same input.
    """

    ready_s: float
    cold_s: float | None = None
    waited_s: float | None = None
    failed: tuple[Run, ...] = ()
    late_s: float = 0.0
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class Wave:
    """``clients`` predictions sent at once, of which no more than the worker's slots run at a time.

    Attributes:
        wall_s: until all had ended.
        waited_s: for a processor; ``None`` where that is not known.
        failed: how many of them did.
    """

    clients: int
    wall_s: float
    waited_s: float | None = None
    failed: int = 0

    @property
    def rate(self) -> float:
        """Predictions a second."""
        return self.clients / self.wall_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """One input meant to be too much, and what came of it; ``took_s`` until that was known."""

    name: str
    shown: str
    outcome: AttemptOutcome
    message: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """Python code of the worker opened a file, at a time on the monotonic clock."""

    at_s: float
    path: Path


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The worker did not become ready.

    Attributes:
        message: why.
        logs: the end of what it printed.
        missing_module: the Python used lacks a module, which says nothing about the image.
    """

    message: str
    logs: str = ""
    missing_module: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """A project while it ran.

    Attributes:
        inputs: of the predictions.
        made_up: the inputs among them that nobody gave.
        starts: one; two where the first looked too slow to be believed.
        loop_blocked: spans of the monotonic clock in which the worker's event loop did not turn; ``None`` where it
            could not be watched.
        opened: files, in order.
        health_idle_s: how long answers of the health check took without a prediction.
        health_busy_s: the same during predictions.
        unhealthy: what the health check said while predictions succeeded, where that was not READY or BUSY.
        waves: several of a number of clients, to tell noise.
        attempts: of inputs meant to be too much.
        unobserved: what could not be observed, by the name of the step: ``predictions``, ``waves``, ``inputs``.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    made_up: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()
    loop_blocked: tuple[tuple[float, float], ...] | None = None
    opened: tuple[OpenedFile, ...] = ()
    health_idle_s: tuple[float, ...] = ()
    health_busy_s: tuple[float, ...] = ()
    unhealthy: str | None = None
    waves: tuple[Wave, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    unobserved: Mapping[str, str] = field(default_factory=dict)

    @property
    def steady(self) -> tuple[Run, ...]:
        """The predictions of the first start but for the very first one."""
        return self.starts[0].runs[1:] if self.starts else ()
