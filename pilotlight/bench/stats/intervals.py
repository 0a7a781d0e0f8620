"""Intervals that are valid for the ten to thirty processes that a bench can run, and verdicts based on them.

The choice of intervals. The calibration measures all of them (``pilotlight bench calibrate``); the figures here are
coverages of nominal 95 % intervals on lognormal, Pareto and Student-t(2) data with n = 10, 15, 20 and 30.

- ``median_interval``, recommended for a median: the order-statistic interval, interpolated between the two nearest
  ranks (Hettmansperger and Sheather 1986). It covers 93.8 to 96.6 %. Without the interpolation the interval is
  conservative: 95.2 to 98.6 %, wider than it has to be.
- ``bca_interval``, for a median or anything else: Efron's BCa bootstrap. On medians of small samples it is too narrow,
  91.0 to 95.4 %, as the percentile bootstrap is: a resampled median takes few values, and the jackknife's
  acceleration is 0 for every even n. With Student's quantiles in the place of normal ones (after Hesterberg 2015) it
  covers 94.3 to 96.5 %, so that is what it does.
- ``hierarchical_interval``, for iterations within processes: resamples processes, then the iterations of each. Where
  processes differ as much as iterations do it covers 94.3 to 96.5 %. Where they hardly differ it is conservative (up
  to 99.5 %), because the noise of the iterations enters twice; ``median_interval`` of the processes' medians is not.
- ``quantile_interval``: ranks from the binomial distribution, for any distribution of the data.
- ``compare``: Hodges and Lehmann's shift between logarithms, its interval by inverting the exact rank-sum test.
  Where both groups come from one distribution, whichever it is, at most 5 % of comparisons see a difference.

If n is too small for a number, the result is a ``TooSmall``, which says how many values are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.stats.distributions import binomial_cdf, rank_sum_cut, student_quantile
from pilotlight.errors import UsageError

__all__ = [
    "CONFIDENCE",
    "Comparison",
    "Estimate",
    "TooSmall",
    "Values",
    "Verdict",
    "as_row",
    "bca_interval",
    "compare",
    "hierarchical_interval",
    "median_interval",
    "quantile_interval",
]

CONFIDENCE = 0.95
Values = Sequence[float] | NDArray[np.float64]
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_NORMAL = NormalDist()
_MIN_BOOTSTRAP = 5  # fewer have fewer than 126 distinct resamples, so their tails are single values
_MAX_COMPARED = 3000  # per group; the pairs of two such groups are 72 MB


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, in the unit of the data.

    Attributes:
        value: the estimate.
        low: the lower end of the interval.
        high: the upper end of the interval.
        confidence: the share of such intervals that contain the truth.
        n: the number of independent values behind it; processes, if iterations are grouped in processes.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int


@dataclass(frozen=True, slots=True)
class TooSmall:
    """The result instead of a number if ``n`` values are too few for it.

    Attributes:
        n: the number of values.
        needed: the number of values needed.
    """

    n: int
    needed: int

    def __str__(self) -> str:
        return f"needs at least {self.needed} runs for an interval (have {self.n})"


class Verdict(StrEnum):
    FASTER = "faster"
    SLOWER = "slower"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate's times compared with a baseline's.

    Attributes:
        ratio: candidate over baseline: the median of the ratios of all pairs; below 1 the candidate is faster.
        verdict: faster or slower if the whole interval is on one side of 1.
    """

    ratio: Estimate | TooSmall
    verdict: Verdict

    def slower_by(self, fraction: float) -> bool:
        """Return whether the data show the candidate to be slower by more than ``fraction`` (0.05 for 5 %)."""
        return isinstance(self.ratio, Estimate) and self.ratio.low > 1 + fraction

    def faster_by(self, fraction: float) -> bool:
        """Return whether the data show the candidate to take less than ``1 - fraction`` of the baseline's time."""
        return isinstance(self.ratio, Estimate) and self.ratio.high < 1 - fraction


def median_interval(values: Values, confidence: float = CONFIDENCE) -> Estimate | TooSmall:
    """Return the median with its interpolated order-statistic interval; 95 % need 6 values."""
    data = np.sort(as_row(values))
    n = data.size
    needed = _values_needed(0.5, confidence)
    if n < needed:
        return TooSmall(n, needed)
    # [x_d, x_(n-d+1)], ranks from 1, covers 1 - 2 P(X < d): the innermost that covers enough, and the next one inside.
    covered = 1 - 2 * binomial_cdf(n, 0.5)[: n // 2]
    d = int(np.flatnonzero(covered >= confidence)[-1]) + 1
    inner = float(covered[d]) if d < covered.size else 0.0
    share = (float(covered[d - 1]) - confidence) / (float(covered[d - 1]) - inner)
    weight = (n - d) * share / (d + (n - 2 * d) * share)
    low = data[d - 1] + weight * (data[d] - data[d - 1])
    high = data[n - d] - weight * (data[n - d] - data[n - d - 1])
    return Estimate(float(np.median(data)), float(low), float(high), confidence, n)


def quantile_interval(values: Values, q: float, confidence: float = CONFIDENCE) -> Estimate | TooSmall:
    """Return the ``q`` quantile with the narrowest pair of ranks that covers it; p95 needs 59 values, p99 needs 299."""
    data = np.sort(as_row(values))
    n = data.size
    if not 0 < q < 1:
        raise UsageError(f"a quantile of {q}: it must be between 0 and 1, 0.95 for p95")
    needed = _values_needed(q, confidence)
    if n < needed:
        return TooSmall(n, needed)
    # [x_i, x_j], ranks from 0, covers P(i < X <= j): for each i the least j, then the closest pair.
    cdf = binomial_cdf(n, q)
    upper = np.searchsorted(cdf, cdf + confidence)
    low = np.flatnonzero(upper < n)
    best = low[np.argmin(upper[low] - low)]
    return Estimate(float(np.quantile(data, q)), float(data[best]), float(data[upper[best]]), confidence, n)


def bca_interval(
    values: Values,
    *,
    statistic: Statistic | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate | TooSmall:
    """Return a statistic with its bias-corrected and accelerated bootstrap interval (Efron 1987), Student's quantiles.

    Args:
        values: independent values.
        statistic: a vectorized function of the rows of an array; the median if not given.
        confidence: the confidence of the interval.
        resamples: the number of resamples; more make the ends less random.
        seed: the seed of the resampling; the same seed gives the same interval.
    """
    data = as_row(values)
    n = data.size
    if n < _MIN_BOOTSTRAP:
        return TooSmall(n, _MIN_BOOTSTRAP)
    of = statistic or _medians
    value = float(of(data[None, :])[0])
    rng = np.random.default_rng(seed)
    replicas = of(data[rng.integers(0, n, (resamples, n))])
    # Half of the replicas that equal the estimate count as below it: medians are often equal.
    below = (np.sum(replicas < value) + 0.5 * np.sum(replicas == value)) / resamples
    bias = _NORMAL.inv_cdf(float(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples)))
    left_out = of(data[np.nonzero(~np.eye(n, dtype=bool))[1].reshape(n, n - 1)])
    away = left_out.mean() - left_out
    squares = float(np.sum(away**2))
    acceleration = float(np.sum(away**3)) / (6 * squares**1.5) if squares > 0 else 0.0
    width = student_quantile((1 + confidence) / 2, n - 1)
    levels = [_bca_level(bias, acceleration, z) for z in (-width, width)]
    low, high = np.quantile(replicas, levels)
    return Estimate(value, float(low), float(high), confidence, n)


def hierarchical_interval(
    processes: Sequence[Values], *, confidence: float = CONFIDENCE, resamples: int = 2000, seed: int = 0
) -> Estimate | TooSmall:
    """Return the median of the processes' medians; the bootstrap resamples processes, then iterations in each.

    Args:
        processes: the iterations of each process, at least one; the numbers may differ.
        confidence: the confidence of the interval.
        resamples: the number of resamples; more make the ends less random.
        seed: the seed of the resampling; the same seed gives the same interval.
    """
    groups = [as_row(process) for process in processes]
    n = len(groups)
    if not all(group.size for group in groups):
        raise UsageError("hierarchical_interval: a process has no iterations; leave it out")
    if n < _MIN_BOOTSTRAP:
        return TooSmall(n, _MIN_BOOTSTRAP)
    rng = np.random.default_rng(seed)
    # Row p: medians of resampled iterations of process p. A replica takes each of its processes' medians from a
    # different column, so a process that occurs twice is resampled twice.
    medians = np.stack([_medians(group[rng.integers(0, group.size, (resamples, group.size))]) for group in groups])
    columns = (np.arange(resamples)[:, None] + np.arange(n)) % resamples
    replicas = _medians(medians[rng.integers(0, n, (resamples, n)), columns])
    low, high = np.quantile(replicas, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = float(np.median([np.median(group) for group in groups]))
    return Estimate(value, float(low), float(high), confidence, n)


def compare(baseline: Values, candidate: Values, confidence: float = CONFIDENCE) -> Comparison:
    """Compare the candidate's times with the baseline's; give one time per process (its median), which is independent.

    Raises:
        UsageError: a time is not above 0, or a group has more than 3000 times, which are hardly all independent.
    """
    groups = [as_row(baseline), as_row(candidate)]
    if any(np.any(group <= 0) for group in groups):
        raise UsageError("compare: every time must be above 0 seconds")
    n, m = (group.size for group in groups)
    if max(n, m) > _MAX_COMPARED:
        raise UsageError(f"compare: {max(n, m)} times of one side; give one per process, its median, at most 3000")
    cut = rank_sum_cut(n, m, confidence)
    if cut == 0:
        return Comparison(TooSmall(min(n, m), _pairs_needed(confidence)), Verdict.CANNOT_TELL)
    shifts = np.sort(np.subtract.outer(np.log(groups[1]), np.log(groups[0])), axis=None)
    value, low, high = np.exp([np.median(shifts), shifts[cut - 1], shifts[-cut]])
    verdict = Verdict.FASTER if high < 1 else Verdict.SLOWER if low > 1 else Verdict.CANNOT_TELL
    return Comparison(Estimate(float(value), float(low), float(high), confidence, min(n, m)), verdict)


def as_row(values: Values) -> NDArray[np.float64]:
    """Return the values as a one-dimensional array, which may be empty; refuse values that are not finite numbers."""
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1:
        raise UsageError(f"statistics of values in {data.ndim} dimensions: give one row")
    if not np.all(np.isfinite(data)):
        raise UsageError("statistics: every value must be a finite number; leave out what failed")
    return data


def _medians(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``np.median(rows, axis=1)``, computed in a third of the time for short rows."""
    ordered = np.sort(rows, axis=1)
    n = ordered.shape[1]
    middle: NDArray[np.float64] = (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2
    return middle


def _bca_level(bias: float, acceleration: float, z: float) -> float:
    shifted = bias + z
    # Far from the center the denominator changes its sign, and the level would jump to the other end.
    stretched = shifted / max(1 - acceleration * shifted, 1e-9)
    return _NORMAL.cdf(bias + stretched)


def _values_needed(q: float, confidence: float) -> int:
    """Return the least n for which the interval from least to largest value covers the ``q`` quantile."""
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence of {confidence}: it must be between 0 and 1, 0.95 for 95 %")
    n = 2
    while 1 - q**n - (1 - q) ** n < confidence:
        n += 1
    return n


def _pairs_needed(confidence: float) -> int:
    n = 1
    while rank_sum_cut(n, n, confidence) == 0:
        n += 1
    return n
