"""Charge every moment of a cold start to one stage, which gives its waterfall. Pure.

Each moment of the wall time is charged to exactly one stage, so the charged times sum to the wall time. While several
stages run at once, the time of the others is kept as overlap, which is shown but not added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["OTHER", "STAGES", "Interval", "StageTime", "charge", "union", "waterfall"]

OTHER = "other"
# In the order in which they happen. `setup` is the part of setup() that has no finer stage, `other` is the time of the
# whole start that no stage explains.
STAGES = (
    "spawn",
    "interpreter",
    "imports",
    "weights",
    "device",
    "compile",
    "warmup",
    "setup",
    "ready",
    "first_prediction",
    OTHER,
)
# The priority of stages that run at once: first the caller's own waits, last the stage that contains others.
_WHOLE = ("spawn", "interpreter", "ready", "first_prediction")
_HOLDS_OTHERS = "setup"


@dataclass(frozen=True, slots=True)
class Interval:
    """A stage from ``start_s`` to ``end_s``, both since the worker was spawned."""

    stage: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class StageTime:
    """A stage of one start.

    Attributes:
        charged_s: the stage's own time; over all stages these sum to the wall time.
        overlapped_s: the time that it ran while another stage was charged.
    """

    stage: str
    charged_s: float
    overlapped_s: float


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the stages without overlaps within a stage, ordered by their starts."""
    merged: dict[str, list[Interval]] = {}
    for one in sorted(intervals, key=lambda one: (one.start_s, one.end_s)):
        same = merged.setdefault(one.stage, [])
        if same and one.start_s <= same[-1].end_s:
            same[-1] = Interval(one.stage, same[-1].start_s, max(same[-1].end_s, one.end_s))
        else:
            same.append(one)
    return sorted((one for same in merged.values() for one in same), key=lambda one: (one.start_s, one.end_s))


def charge(intervals: Sequence[Interval], wall_s: float) -> list[Interval]:
    """Charge every moment from 0 to ``wall_s`` to one stage; return contiguous intervals.

    Of stages that run at once, the one that began last is charged, because it runs inside the others. But ``spawn``,
    ``interpreter``, ``ready`` and ``first_prediction`` are never split, and ``setup`` is charged only where no
    other stage runs. A moment without a stage is ``other``. Times outside 0 to ``wall_s`` are cut off.
    """
    inside = _inside(intervals, wall_s)
    edges = sorted({0.0, wall_s, *(one.start_s for one in inside), *(one.end_s for one in inside)})
    found: list[Interval] = []
    for start_s, end_s in pairwise(edges):
        running = [one for one in inside if one.start_s <= start_s and one.end_s >= end_s]
        stage = max(running, key=_claim).stage if running else OTHER
        if found and found[-1].stage == stage:
            found[-1] = Interval(stage, found[-1].start_s, end_s)
        else:
            found.append(Interval(stage, start_s, end_s))
    return found


def waterfall(intervals: Sequence[Interval], wall_s: float) -> tuple[StageTime, ...]:
    """Return each stage's charged and overlapped time; ``other`` is included even if it is 0."""
    charged: dict[str, float] = {}
    for one in charge(intervals, wall_s):
        charged[one.stage] = charged.get(one.stage, 0.0) + one.end_s - one.start_s
    lasted: dict[str, float] = {}
    for one in _inside(intervals, wall_s):
        lasted[one.stage] = lasted.get(one.stage, 0.0) + one.end_s - one.start_s
    return tuple(
        StageTime(stage, charged.get(stage, 0.0), max(0.0, lasted.get(stage, 0.0) - charged.get(stage, 0.0)))
        for stage in _in_order([*lasted, OTHER])
    )


def _inside(intervals: Sequence[Interval], wall_s: float) -> list[Interval]:
    return [
        Interval(one.stage, max(one.start_s, 0.0), min(one.end_s, wall_s))
        for one in union(intervals)
        if one.start_s < wall_s and one.end_s > 0
    ]


def _claim(one: Interval) -> tuple[int, float]:
    if one.stage in _WHOLE:
        return 2, one.start_s
    return (0 if one.stage == _HOLDS_OTHERS else 1), one.start_s


def _in_order(found: Sequence[str]) -> list[str]:
    """Return the known stages in their order; stages that a project names itself come before ``other``."""
    own = [stage for stage in dict.fromkeys(found) if stage not in STAGES]
    return [stage for stage in (*STAGES[:-1], *own, OTHER) if stage in found]
