"""Decide whether the data show a goal of a run: a ratio between two systems in one figure. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pilotlight.bench.stats.intervals import Comparison, Estimate, TooSmall, compare
from pilotlight.bench.systems.results import ComparisonResult

__all__ = ["ComparedFigure", "FigureKind", "Goal", "GoalOutcome", "Met", "judge", "values"]


class FigureKind(StrEnum):
    """The kind of value measured for a process."""

    READY = "exec to READY"
    FIRST = "exec to first token"
    FIRST_DROPPED = "exec to first token, page cache dropped"
    RATE = "tokens/s"
    FIRST_P95 = "p95 time to first token"


class Met(StrEnum):
    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A kind of value; ``streams`` is the number of streams if it depends on that."""

    kind: FigureKind
    streams: int | None = None

    @property
    def is_rate(self) -> bool:
        """Whether more is better; every other figure is in seconds, and less is better."""
        return self.kind is FigureKind.RATE

    def __str__(self) -> str:
        match self.streams:
            case None:
                return str(self.kind)
            case 1:
                return f"one stream, {self.kind}"
            case _:
                return f"{self.streams} streams, {self.kind}"


@dataclass(frozen=True, slots=True)
class Goal:
    """``name`` over ``against`` in a figure: at least ``limit`` if more is better, otherwise at most."""

    figure: ComparedFigure
    name: str
    against: str
    limit: float


@dataclass(frozen=True, slots=True)
class GoalOutcome:
    """A goal and the measured ratio: the median of the ratios of all pairs of processes."""

    goal: Goal
    ratio: Estimate | TooSmall
    met: Met


def values(result: ComparisonResult, name: str, figure: ComparedFigure) -> list[float]:
    """Return one value for each process of a system that has one, in order.

    For p95 it is each process's own, because processes are independent, while the requests of a process are not.
    """
    match figure.kind:
        case FigureKind.READY | FigureKind.FIRST | FigureKind.FIRST_DROPPED:
            page_cache = "dropped" if figure.kind is FigureKind.FIRST_DROPPED else "hot"
            starts = [one for one in result.measured(name) if one.page_cache == page_cache]
            times = [one.ready_s if figure.kind is FigureKind.READY else one.first_output_s for one in starts]
            return [time for time in times if time is not None]
        case FigureKind.RATE | FigureKind.FIRST_P95:
            levels = [one for one in result.streams if (one.project, one.streams) == (name, figure.streams)]
            if figure.kind is FigureKind.RATE:
                return [one.tokens_per_s for one in levels if one.tokens_per_s is not None]
            return [float(np.quantile(one.first_output_s, 0.95)) for one in levels if one.first_output_s]


def judge(result: ComparisonResult, goal: Goal) -> GoalOutcome:
    """Judge whether a goal is met: the whole interval must be on one side of the limit."""
    comparison: Comparison = compare(values(result, goal.against, goal.figure), values(result, goal.name, goal.figure))
    ratio = comparison.ratio
    if isinstance(ratio, TooSmall):
        return GoalOutcome(goal, ratio, Met.CANNOT_TELL)
    worse, better = (ratio.low, ratio.high) if goal.figure.is_rate else (-ratio.high, -ratio.low)
    limit = goal.limit if goal.figure.is_rate else -goal.limit
    met = Met.YES if worse >= limit else Met.NO if better < limit else Met.CANNOT_TELL
    return GoalOutcome(goal, ratio, met)
