"""Find where a series of times changes its mean or its spread.

The method is that of Barrett et al., "Virtual Machine Warmup Blows Hot and Cold" (OOPSLA 2017): outliers are left out,
then PELT (Killick, Fearnhead and Eckley 2012) finds the segments that fit best as normal data, each with its own mean
and variance, at a penalty of 15 ln n for each. Three things differ. A bench has hundreds of iterations instead of
2000, so the window for outliers is a tenth of the run (theirs was 200), and only a run of outliers at the very start is
kept (they kept all of the first 200). The lower bound of the variances depends on the data, so that the unit of time
does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.stats.intervals import Values, as_row

__all__ = ["Segment", "outliers", "pelt", "segments"]

# The number of neighboring iterations that define an outlier: the paper's 200 of 2000, and the same share of fewer. A
# window across a change would be so spread that no pause beside the change was an outlier.
_WINDOW = 200
_WINDOW_SHARE = 0.1
_MIN_WINDOW = 30  # ten percent at either end are three values
_SPREADS = 3.0  # outside median +- 3 (p90 - p10) is an outlier: 7.7 standard deviations of normal data
_PENALTY = 15.0  # times ln n
_MIN_SIZE = 2  # one point has no variance

# Segments with less variance than this are equal: a tenth of the usual step from one iteration to the next, 0.01 % of
# the level, or the clock's rounding error. Otherwise a few equal readings would form a segment of variance 0.
_QUIET_STEP = 0.1
_QUIET_LEVEL = 1e-4
_TICKING = 0.05  # if fewer readings than this share differ from the one before, the clock's ticks do not matter


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive iterations with one mean and spread.

    Attributes:
        start: the index of the first iteration, from 0.
        stop: the index after the last iteration.
        mean_s: the mean without outliers.
        deviation_s: the standard deviation without outliers.
    """

    start: int
    stop: int
    mean_s: float
    deviation_s: float


def segments(values: Values) -> tuple[Segment, ...]:
    """Cut times in seconds into segments, in order and without gaps; one if nothing changes, none for no times."""
    data = as_row(values)
    if not data.size:
        return ()
    kept = np.flatnonzero(~outliers(data))
    clean = data[kept]
    cuts = pelt(clean, penalty=_PENALTY * math.log(max(clean.size, 2)), floor=_variance_floor(clean))
    bounds = [0, *cuts, clean.size]
    starts = [0, *(int(kept[cut]) for cut in cuts), data.size]
    return tuple(
        Segment(starts[i], starts[i + 1], float(part.mean()), float(part.std()))
        for i in range(len(bounds) - 1)
        for part in [clean[bounds[i] : bounds[i + 1]]]
    )


def outliers(values: Values) -> NDArray[np.bool_]:
    """Return which values are far from their neighbors: outside median +- 3 (p90 - p10) of the nearest 30 to 200.

    A run of far values at the very start does not count, because warm-up looks like that.
    """
    data = as_row(values)
    if not data.size:
        return np.zeros(0, dtype=np.bool_)
    width = min(data.size, max(_MIN_WINDOW, min(_WINDOW, int(_WINDOW_SHARE * data.size))))
    windows = np.lib.stride_tricks.sliding_window_view(data, width)
    p10, middle, p90 = np.quantile(windows, [0.1, 0.5, 0.9], axis=1)
    # Each value is in the middle of its window, except within half a window of the ends.
    nearest = np.clip(np.arange(data.size) - width // 2, 0, len(windows) - 1)
    far: NDArray[np.bool_] = np.abs(data - middle[nearest]) > _SPREADS * (p90 - p10)[nearest]
    first_usual = int(np.argmin(far))
    far[:first_usual] = False
    return far


def pelt(values: Values, *, penalty: float, floor: float, min_size: int = _MIN_SIZE) -> tuple[int, ...]:
    """Return the starts of all segments but the first of the best segmentation by the normal likelihood. Exact.

    Minimizes the sum over segments of ``size * ln(variance + floor) + penalty``.

    Args:
        values: the series.
        penalty: the cost of each segment.
        floor: the number added to every variance, above 0.
        min_size: the fewest values in a segment.
    """
    data = as_row(values)
    n = data.size
    if n < 2 * min_size:
        return ()
    centered = data - np.median(data)  # prefix sums of squares would lose digits far from 0
    sums = np.concatenate([[0.0], np.cumsum(centered)])
    squares = np.concatenate([[0.0], np.cumsum(centered**2)])
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(n + 1, dtype=np.intp)
    starts = np.empty(0, dtype=np.intp)  # where the last segment may start
    expiry = np.empty(0, dtype=np.intp)  # the last stop for which each of them has to be tried
    for stop in range(min_size, n + 1):
        if math.isfinite(best[stop - min_size]):
            starts = np.append(starts, stop - min_size)
            expiry = np.append(expiry, n)
        size = stop - starts
        mean = (sums[stop] - sums[starts]) / size
        variance = np.maximum((squares[stop] - squares[starts]) / size - mean**2, 0.0)
        cost = best[starts] + size * np.log(variance + floor)
        winner = int(np.argmin(cost))
        best[stop] = cost[winner] + penalty
        previous[stop] = starts[winner]
        # A start that loses to a cut at ``stop`` loses for later stops too, but a cut is possible only min_size on.
        expiry = np.where(cost > best[stop], np.minimum(expiry, stop + min_size - 1), expiry)
        alive = expiry > stop
        starts, expiry = starts[alive], expiry[alive]
    cuts = []
    at = int(previous[n])
    while at > 0:
        cuts.append(at)
        at = int(previous[at])
    return tuple(reversed(cuts))


def _variance_floor(data: NDArray[np.float64]) -> float:
    steps = np.abs(np.diff(data))
    # The median step of independent normal values is 0.954 standard deviations.
    usual = float(np.median(steps)) / 0.954 if steps.size else 0.0
    quiet = max(_QUIET_STEP * usual, _QUIET_LEVEL * abs(float(np.median(data))))
    moves = steps[steps > 0]
    ticks = moves.size >= _TICKING * steps.size > 0
    rounding = float(moves.min()) ** 2 / 12 if ticks else 0.0  # the variance of a uniform error of one tick
    return max(quiet**2, rounding, float(np.finfo(np.float64).tiny))
