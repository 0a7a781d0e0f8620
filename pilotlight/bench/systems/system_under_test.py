"""What takes part: something that starts, and something that streams to several clients at once."""

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
    """What the clients do: see ``results.ComparisonSettings``."""

    streams: tuple[int, ...]
    duration_s: float
    prompt: str
    tokens: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Began:
    """A start that has succeeded; times since the spawn.

    Attributes:
        ready_s: ``None`` for what serves nobody.
        first_output_s: to the first output that a caller sees.
        wall_s: to the end of that first request.
        stages: as a waterfall; empty where nothing is known of them.
        files: that were read; empty unless asked for.
    """

    ready_s: float | None
    first_output_s: float
    wall_s: float
    stages: tuple[StageSeconds, ...] = ()
    files: frozenset[Path] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of load that has been played: see ``results.StreamsResult``."""

    streams: int
    window_s: float
    requests: int
    tokens_per_s: float
    first_output_s: tuple[float, ...]


class SystemUnderTest(Protocol):
    """One way to serve a model, or a part of one. Everything that it starts has ended when a method returns.

    Attributes:
        name: in the result.
        starts: whether ``start`` means anything.
        streams: whether ``stream`` does.
        command: how it is run, in words, where it is no Cog project.
    """

    name: str
    starts: bool
    streams: bool
    command: str | None

    async def start(self, *, note_files: bool) -> Began:
        """Starts it, makes it answer once, and stops it.

        Raises:
            WorkerError: it did not.
        """
        ...

    async def stream(self, load: Load) -> Sequence[Level]:
        """Starts it, plays all levels of a load on it, and stops it.

        Raises:
            WorkerError: it did not start, or a request did not succeed.
        """
        ...


def stage_seconds(intervals: Sequence[Interval], wall_s: float) -> tuple[StageSeconds, ...]:
    """The waterfall in the words of a result file."""
    return tuple(map(_seconds, waterfall(intervals, wall_s)))


def _seconds(one: StageTime) -> StageSeconds:
    return StageSeconds(stage=one.stage, charged_s=one.charged_s, overlapped_s=one.overlapped_s)
