"""Classify the times of identical predictions as flat, warm-up, slowdown, or no steady state.

After Barrett et al. (see ``changepoints``). The steady state is the last segment of a process and the segments before
it with an equivalent mean, if they are at least the last quarter of the run (the paper's last 500 of 2000). Equivalent
means within 3 % of the level, a difference without practical relevance that any shared machine shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.stats.changepoints import Segment, outliers, segments
from pilotlight.bench.stats.intervals import Estimate, TooSmall, Values, as_row, median_interval
from pilotlight.errors import UsageError

__all__ = ["MIN_ITERATIONS", "ProcessWarmup", "Shape", "Warmup", "classify", "format_seconds", "summarize"]

# 30 show a start of 3 at twice the time and 5 % noise, 20 deviations: 30 ln(1 + 0.1 * 0.9 * 20**2) = 108, and a segment
# costs 15 ln 30 = 51.
MIN_ITERATIONS = 30
_STEADY_SHARE = 0.25
_SAME_LEVEL = 0.03
_USUAL_DEVIATIONS = 3.0  # a value this close to the steady level may belong to the steady state
_TO_STEADY = ("iterations_to_steady", "seconds_to_steady", "first_to_steady", "debt_s")
_NOTABLE_FIRST = 1.1  # a first prediction that takes this many times the steady time is mentioned


class Shape(StrEnum):
    """How a series of times develops; INCONSISTENT only across processes, TOO_SHORT if too few were measured."""

    FLAT = "flat"
    WARM_UP = "warm-up"
    SLOWDOWN = "slowdown"
    NO_STEADY_STATE = "no steady state"
    INCONSISTENT = "inconsistent"
    TOO_SHORT = "too short"


@dataclass(frozen=True, slots=True)
class ProcessWarmup:
    """The warm-up of one process.

    Attributes:
        shape: its class.
        iterations: the number of measured iterations.
        segments: the segments between changepoints, in order; empty if the series is too short.
        steady_s: the mean of the steady state without outliers; without one, this and all following are ``None``.
        iterations_to_steady: the number of iterations before the steady state; 0 if it is flat.
        seconds_to_steady: the total seconds of these iterations.
        first_to_steady: the first time over the steady time.
        debt_s: how much longer they took than as many steady iterations; negative before a slowdown.
    """

    shape: Shape
    iterations: int
    segments: tuple[Segment, ...] = ()
    steady_s: float | None = None
    iterations_to_steady: int | None = None
    seconds_to_steady: float | None = None
    first_to_steady: float | None = None
    debt_s: float | None = None


@dataclass(frozen=True, slots=True)
class Warmup:
    """The warm-up of several processes that ran the same predictions.

    Attributes:
        shape: their common class, or INCONSISTENT.
        processes: the warm-up of each process.
        counts: the number of processes of each shape.
        steady: the median of their steady times, in seconds; ``None`` if no process has a steady state.
        iterations_to_steady: the median over the processes that have a steady state; ``None`` without any.
        seconds_to_steady: likewise.
        first_to_steady: likewise.
        debt_s: likewise.
        sentence: a summary in one sentence.
    """

    shape: Shape
    processes: tuple[ProcessWarmup, ...]
    counts: dict[Shape, int]
    steady: Estimate | TooSmall | None
    iterations_to_steady: float | None
    seconds_to_steady: float | None
    first_to_steady: float | None
    debt_s: float | None
    sentence: str


def classify(times_s: Values) -> ProcessWarmup:
    """Classify one process from the times of its predictions in seconds, in order."""
    data = as_row(times_s)
    if np.any(data <= 0):
        raise UsageError("warm-up: every time must be above 0 seconds")
    if data.size < MIN_ITERATIONS:
        return ProcessWarmup(Shape.TOO_SHORT, data.size)
    parts = segments(data)
    first = len(parts) - 1
    while first > 0 and _same(parts[first - 1].mean_s, parts[-1].mean_s):
        first -= 1
    start = parts[first].start
    if data.size - start < _STEADY_SHARE * data.size:
        return ProcessWarmup(Shape.NO_STEADY_STATE, data.size, parts)
    steady_s = _mean_of_usual(data, start)
    usual_s = max(_SAME_LEVEL * steady_s, _USUAL_DEVIATIONS * parts[-1].deviation_s)
    if start > 0 and abs(float(data[start - 1]) - steady_s) <= usual_s:
        start -= 1  # a segment has at least two points, so a single slow prediction includes its neighbor
    faster_before = any(part.mean_s < steady_s and not _same(part.mean_s, steady_s) for part in parts[:first])
    before_s = float(data[:start].sum())
    return ProcessWarmup(
        shape=Shape.FLAT if first == 0 else Shape.SLOWDOWN if faster_before else Shape.WARM_UP,
        iterations=data.size,
        segments=parts,
        steady_s=steady_s,
        iterations_to_steady=start,
        seconds_to_steady=before_s,
        first_to_steady=float(data[0]) / steady_s,
        debt_s=before_s - start * steady_s,
    )


def summarize(processes: Sequence[Values]) -> Warmup:
    """Summarize several processes from the times of the predictions of each."""
    if not processes:
        raise UsageError("warm-up: there are no processes; give the times of at least one")
    found = tuple(classify(times_s) for times_s in processes)
    counts = dict(Counter(one.shape for one in found).most_common())
    shape = next(iter(counts)) if len(counts) == 1 else Shape.INCONSISTENT
    settled = [one for one in found if one.shape in (Shape.FLAT, Shape.WARM_UP, Shape.SLOWDOWN)]
    medians = {name: _median_of(name, settled) for name in ("steady_s", *_TO_STEADY)}
    return Warmup(
        shape=shape,
        processes=found,
        counts=counts,
        steady=median_interval([one.steady_s for one in settled if one.steady_s is not None]) if settled else None,
        **{name: medians[name] for name in _TO_STEADY},
        sentence=_sentence(shape, counts, found, medians),
    )


def _median_of(name: str, settled: Sequence[ProcessWarmup]) -> float | None:
    return float(np.median([getattr(one, name) for one in settled])) if settled else None


def _same(level_s: float, steady_s: float) -> bool:
    return abs(level_s - steady_s) <= _SAME_LEVEL * steady_s


def _mean_of_usual(data: NDArray[np.float64], start: int) -> float:
    usual = ~outliers(data)
    usual[:start] = False
    return float(data[usual].mean())


def _sentence(
    shape: Shape, counts: dict[Shape, int], found: tuple[ProcessWarmup, ...], medians: dict[str, float | None]
) -> str:
    n = len(found)
    who, s = ("The process", "s") if n == 1 else (f"All {n} processes", "")
    if shape is Shape.INCONSISTENT:
        return f"The {n} processes disagree: {', '.join(f'{count} {_DOING[one]}' for one, count in counts.items())}."
    if shape is Shape.TOO_SHORT:
        most = max(one.iterations for one in found)
        return f"Too few predictions: {most} at most in a process, {MIN_ITERATIONS} needed."
    if shape is Shape.NO_STEADY_STATE:
        return f"{who} never settle{s}: the times still change in the last quarter of the run."
    # All processes have a steady state with all figures.
    level, span, cost = (format_seconds(medians[name] or 0.0) for name in ("steady_s", "seconds_to_steady", "debt_s"))
    ratio = medians["first_to_steady"] or 0.0
    count = round(medians["iterations_to_steady"] or 0.0)
    until = f"{count} prediction{'' if count == 1 else 's'} ({span})"
    if shape is Shape.FLAT:
        first = f", though the first takes {ratio:.1f} times that" if ratio >= _NOTABLE_FIRST else ""
        return f"{who} {'is' if s else 'are'} flat: a prediction takes {level} from the start{first}."
    if shape is Shape.SLOWDOWN:
        return f"{who} slow{s} down: after {until} a prediction takes {level}; the first takes {ratio:.2f} times that."
    return (
        f"{who} warm{s} up in {until}: the first takes {ratio:.1f} times the steady {level}, "
        f"and the total warm-up cost is {cost}."
    )


_DOING = {
    Shape.FLAT: "flat",
    Shape.WARM_UP: "warming up",
    Shape.SLOWDOWN: "slowing down",
    Shape.NO_STEADY_STATE: "without a steady state",
    Shape.TOO_SHORT: "too short to tell",
}


def format_seconds(seconds: float) -> str:
    """Format seconds with three digits in a suitable unit: 1.2 s, 34.5 ms."""
    return f"{seconds:.3g} s" if abs(seconds) >= 1 else f"{seconds * 1e3:.3g} ms"
