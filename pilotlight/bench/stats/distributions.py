"""The distributions that the intervals need, using only numpy; exact for few data, where exactness matters."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["binomial_cdf", "rank_sum_cut", "student_quantile"]

_NORMAL = NormalDist()
_EXACT_PAIRS = 10_000  # above it the normal approximation of the rank sum is off by less than one pair in a hundred


@lru_cache(maxsize=256)
def binomial_cdf(n: int, p: float) -> NDArray[np.float64]:
    """P(X <= k) for k = 0 ... n, where X counts the successes of ``n`` tries at probability ``p`` in (0, 1).

    The array is shared between callers and read-only.
    """
    k = np.arange(n)
    steps = np.log(n - k) - np.log(k + 1) + math.log(p) - math.log1p(-p)
    log_mass = n * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    cdf: NDArray[np.float64] = np.minimum(np.cumsum(np.exp(log_mass)), 1.0)
    cdf.flags.writeable = False
    return cdf


@lru_cache(maxsize=256)
def student_quantile(p: float, freedom: int) -> float:
    """The ``p`` quantile of Student's t: the Cornish-Fisher expansion around the normal quantile.

    Right to 0.002 for ``p`` up to 0.975 from 4 degrees of freedom on (Abramowitz and Stegun, 26.7.5).
    """
    z = _NORMAL.inv_cdf(p)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )


@lru_cache(maxsize=256)
def rank_sum_cut(n: int, m: int, confidence: float) -> int:
    """Return how many of the ``n * m`` sorted pairwise differences to cut off at each end; 0 if there are too few.

    The shift between the groups lies between the first and the last remaining difference, with at least ``confidence``
    (Mann and Whitney's U; counted exactly for up to 10,000 pairs, its normal approximation above).
    """
    tail = (1 - confidence) / 2
    if n * m > _EXACT_PAIRS:
        spread = math.sqrt(n * m * (n + m + 1) / 12)
        return max(0, math.floor(n * m / 2 + _NORMAL.inv_cdf(tail) * spread))
    # The number of ways to each value of U is a Gaussian binomial coefficient: prod (1 - q^(m+i)) / (1 - q^i).
    mass = np.zeros(n * m + 1)
    mass[0] = 1.0
    for i in range(1, n + 1):
        mass[m + i :] -= mass[: mass[m + i :].size].copy()
        for start in range(i):
            mass[start::i] = np.cumsum(mass[start::i])
        mass /= mass.max()  # only the proportions count; the bare numbers would overflow
    below = np.cumsum(mass) / mass.sum()
    return int(np.searchsorted(below, tail, side="right"))
