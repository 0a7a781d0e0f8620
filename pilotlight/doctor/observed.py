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
        first_output_s: the time of its first chunk; ``None`` without one.
        chunks: the number of chunks of output.
        error: the reason of its failure; ``None`` when it succeeded.
        metrics: the names of the metrics that the predictor recorded itself.
        waited_s: the time spent waiting for a processor, see ``waiting``; ``None`` if unknown.
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
    """One start of a worker, and its predictions in sequence.

    Attributes:
        ready_s: the time from the spawn to READY.
        cold_s: the time from the spawn to the end of the first successful prediction; ``None`` without one.
        waited_s: the time spent waiting for a processor until then; ``None`` if unknown.
        failed: the predictions that failed before the first successful one.
        late_s: the time from READY to the start of the first successful prediction.
        runs: the predictions from the first successful one on, all of the same input.
    """

    ready_s: float
    cold_s: float | None = None
    waited_s: float | None = None
    failed: tuple[Run, ...] = ()
    late_s: float = 0.0
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class Wave:
    """``clients`` predictions sent at once; at most as many as the worker has slots run at a time.

    Attributes:
        wall_s: the time until all had ended.
        waited_s: the time spent waiting for a processor; ``None`` if unknown.
        failed: the number of failed predictions.
    """

    clients: int
    wall_s: float
    waited_s: float | None = None
    failed: int = 0

    @property
    def rate(self) -> float:
        """Return the predictions per second."""
        return self.clients / self.wall_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """One invalid or extreme input and its outcome; ``took_s`` is the time until the outcome was known."""

    name: str
    shown: str
    outcome: AttemptOutcome
    message: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that Python code of the worker opened, and when, on the monotonic clock."""

    at_s: float
    path: Path


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The worker did not become ready.

    Attributes:
        message: the reason.
        logs: the end of the worker's output.
        missing_module: whether the Python used lacks a module, which says nothing about the image.
    """

    message: str
    logs: str = ""
    missing_module: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """The observations of one run of a project.

    Attributes:
        inputs: the inputs of the predictions.
        made_up: the names of the inputs that doctor made up.
        starts: one start; two if the first looked too slow to be trusted.
        loop_blocked: spans of the monotonic clock in which the event loop was blocked; ``None`` if not watched.
        opened: the opened files, in order.
        health_idle_s: the answer times of the health check without a prediction.
        health_busy_s: the answer times of the health check during predictions.
        unhealthy: the health status while predictions succeeded, if it was not READY or BUSY.
        waves: the waves; several for each number of clients, to tell noise.
        attempts: the outcomes of invalid and extreme inputs.
        unobserved: the reasons of steps that failed, by the name of the step: ``predictions``, ``waves``, ``inputs``.
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
        """Return the predictions of the first start without the very first one."""
        return self.starts[0].runs[1:] if self.starts else ()
