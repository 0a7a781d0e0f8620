"""The interface of a system under test: it starts, and streams to several clients at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pilotlight.bench.cold.results import StageSeconds
from pilotlight.bench.cold.stages import Interval, StageTime, waterfall

__all__ = ["Began", "Level", "Load", "SystemUnderTest", "stage_seconds"]


@dataclass(frozen=True, slots=True)
class Load:
    """The load of the clients; see ``results.ComparisonSettings``."""

    streams: tuple[int, ...]
    duration_s: float
    prompt: str
    tokens: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Began:
    """A start that succeeded; times since the spawn.

    Attributes:
        ready_s: the time until ready; ``None`` for a program without a server.
        first_output_s: the time to the first output that a caller sees.
        wall_s: the time to the end of that first request.
        stages: the stages as a waterfall; empty if unknown.
        files: the files that were read; empty unless asked for.
    """

    ready_s: float | None
    first_output_s: float
    wall_s: float
    stages: tuple[StageSeconds, ...] = ()
    files: frozenset[Path] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of load that has been played; see ``results.StreamsResult``."""

    streams: int
    window_s: float
    requests: int
    tokens_per_s: float
    first_output_s: tuple[float, ...]


class SystemUnderTest(Protocol):
    """One way to serve a model, or a part of it. When a method returns, every process that it started has ended.

    Attributes:
        name: the name in the result.
        starts: whether ``start`` is supported.
        streams: whether ``stream`` is supported.
        command: a description of the command, if it is not a Cog project.
    """

    name: str
    starts: bool
    streams: bool
    command: str | None

    async def start(self, *, note_files: bool) -> Began:
        """Start the system, let it answer once, and stop it.

        Raises:
            WorkerError: it did not start or answer.
        """
        ...

    async def stream(self, load: Load) -> Sequence[Level]:
        """Start the system, play all levels of a load on it, and stop it.

        Raises:
            WorkerError: it did not start, or a request did not succeed.
        """
        ...


def stage_seconds(intervals: Sequence[Interval], wall_s: float) -> tuple[StageSeconds, ...]:
    """Return the waterfall as entries of a result file."""
    return tuple(map(_seconds, waterfall(intervals, wall_s)))


def _seconds(one: StageTime) -> StageSeconds:
    return StageSeconds(stage=one.stage, charged_s=one.charged_s, overlapped_s=one.overlapped_s)
