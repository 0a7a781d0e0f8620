"""Charges every moment of a cold start to one stage, which gives its waterfall. Pure.

Every moment of the wall time is charged to exactly one stage, so the charged times sum to the wall time. Where several
stages run at once, the others' time is kept as overlap: shown, but not added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["OTHER", "STAGES", "Interval", "StageTime", "charge", "union", "waterfall"]

OTHER = "other"
# In the order in which they happen. `setup` is that part of setup() of which nothing finer is known, `other` is that
# part of the whole.
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
# Who is charged when several run at once: first what the caller waits for by name, last the stage that holds others.
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
        charged_s: the time that is its own; over all stages these sum to the wall time.
        overlapped_s: the time that it ran while another stage was charged.
    """

    stage: str
    charged_s: float
    overlapped_s: float


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """The same stages without overlaps within a stage, in order of their starts."""
    merged: dict[str, list[Interval]] = {}
    for one in sorted(intervals, key=lambda one: (one.start_s, one.end_s)):
        same = merged.setdefault(one.stage, [])
        if same and one.start_s <= same[-1].end_s:
            same[-1] = Interval(one.stage, same[-1].start_s, max(same[-1].end_s, one.end_s))
        else:
            same.append(one)
    return sorted((one for same in merged.values() for one in same), key=lambda one: (one.start_s, one.end_s))


def charge(intervals: Sequence[Interval], wall_s: float) -> list[Interval]:
    """Charges every moment from 0 to ``wall_s`` to one stage: these follow each other without gaps.

    Of stages that run at once, the one that began last is charged: it runs inside the others. But ``spawn``,
    ``interpreter``, ``ready`` and ``first_prediction`` are never split, and ``setup`` gives way to whatever is inside.
    Where nothing runs, that is ``other``. What reaches beyond 0 or ``wall_s`` is cut off.
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
    """What ``charge`` charges to each stage, and the rest of its time; ``other`` is there even with nothing in it."""
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
    """The known stages in their order; before ``other`` those that a project stamps under a name of its own."""
    own = [stage for stage in dict.fromkeys(found) if stage not in STAGES]
    return [stage for stage in (*STAGES[:-1], *own, OTHER) if stage in found]
