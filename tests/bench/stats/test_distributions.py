"""The distributions against counting and against printed tables."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from pilotlight.bench.stats.distributions import binomial_cdf, rank_sum_cut, student_quantile


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (10, 0.5), (59, 0.95), (400, 0.99), (900, 0.01)])
def test_binomial_is_the_sum_of_its_terms(n: int, p: float) -> None:
    exact = np.cumsum([comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])
    assert binomial_cdf(n, p) == pytest.approx(exact, abs=1e-10)


def test_binomial_is_shared_and_cannot_be_changed() -> None:
    assert binomial_cdf(7, 0.5) is binomial_cdf(7, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        binomial_cdf(7, 0.5)[0] = 1.0


@pytest.mark.parametrize(
    ("freedom", "table"), [(4, 2.776), (5, 2.571), (9, 2.262), (14, 2.145), (29, 2.045), (10_000, 1.960)]
)
def test_student_quantile_is_that_of_the_table(freedom: int, table: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(table, abs=0.0015)


@pytest.mark.parametrize("n", [1, 3, 4, 6])
@pytest.mark.parametrize("m", [2, 3, 5, 8])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_rank_sum_cut_is_that_of_counting(n: int, m: int, confidence: float) -> None:
    ways = [0] * (n * m + 1)
    for ranks in combinations(range(n + m), n):
        ways[sum(ranks) - n * (n - 1) // 2] += 1
    tail = (1 - confidence) / 2
    below = np.cumsum(ways) / comb(n + m, n)
    assert rank_sum_cut(n, m, confidence) == next(u for u, share in enumerate(below) if share > tail)


def test_rank_sum_cut_goes_over_into_the_normal_approximation_without_a_step() -> None:
    exact, approximate = rank_sum_cut(100, 100, 0.95), rank_sum_cut(100, 101, 0.95)
    assert exact < approximate < exact + 60
    assert rank_sum_cut(2000, 2000, 0.95) == pytest.approx(2000 * 2000 / 2, rel=0.04)
