"""Intervals: what must hold for any data, what exact counting says, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bench.stats.intervals import (
    Estimate,
    TooSmall,
    Verdict,
    bca_interval,
    compare,
    hierarchical_interval,
    median_interval,
    quantile_interval,
)
from pilotlight.bench.stats.synthetic import lognormal, nested
from pilotlight.errors import UsageError

times = st.floats(1e-3, 1e3)
samples = st.lists(times, min_size=6, max_size=40)


def estimate(found: Estimate | TooSmall) -> Estimate:
    assert isinstance(found, Estimate)
    return found


@given(samples)
def test_median_is_in_its_interval_in_any_order(values: list[float]) -> None:
    found = estimate(median_interval(values))
    assert min(values) <= found.low <= found.value <= found.high <= max(values)
    assert median_interval(values[::-1]) == found


@given(samples)
def test_unit_of_time_does_not_matter(values: list[float]) -> None:
    scaled = [value * 1024 for value in values]  # exact in binary
    for interval in (median_interval, lambda data: quantile_interval(data, 0.5)):
        one, other = estimate(interval(values)), estimate(interval(scaled))
        assert (other.low, other.value, other.high) == (one.low * 1024, one.value * 1024, one.high * 1024)


def test_median_of_ten_lies_between_the_second_and_the_third_rank() -> None:
    # [x2, x9] covers 97.9 %, [x3, x8] 89.1 %; at 95 % the weight of the inner one is (8 I) / (2 + 6 I), I = 0.3290.
    found = estimate(median_interval([float(i) for i in range(1, 11)]))
    share = (1 - 2 * 11 / 1024 - 0.95) / (2 * 45 / 1024)
    weight = 8 * share / (2 + 6 * share)
    assert (found.value, found.low, found.high) == pytest.approx((5.5, 2 + weight, 9 - weight))


@pytest.mark.parametrize(
    ("interval", "needed"),
    [
        (median_interval, 6),
        (lambda values: quantile_interval(values, 0.5), 6),
        (lambda values: quantile_interval(values, 0.9), 29),
        (lambda values: quantile_interval(values, 0.95), 59),
        (lambda values: quantile_interval(values, 0.99), 299),
        (lambda values: quantile_interval(values, 0.05), 59),
        (bca_interval, 5),
        (lambda values: hierarchical_interval([[value] for value in values]), 5),
    ],
)
def test_too_few_values_say_how_many_would_do(
    interval: Callable[[list[float]], Estimate | TooSmall], needed: int
) -> None:
    values = [1.0 + i / 7 for i in range(needed)]
    found = interval(values[:-1])
    assert found == TooSmall(needed - 1, needed)
    assert str(found) == f"needs at least {needed} runs for an interval (have {needed - 1})"
    assert isinstance(interval(values), Estimate)


@pytest.mark.parametrize("q", [0.05, 0.5, 0.75, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [6, 29, 30, 59, 100, 299, 480])
def test_ranks_of_a_quantile_cover_it_and_no_narrower_ones_do(q: float, n: int) -> None:
    found = quantile_interval([float(rank) for rank in range(n)], q)
    mass = [comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)]
    if isinstance(found, TooSmall):
        assert sum(mass[1:n]) < 0.95
        return
    low, high = int(found.low), int(found.high)
    assert low <= found.value <= high
    assert sum(mass[low + 1 : high + 1]) >= 0.95
    width = high - low - 1
    assert all(sum(mass[i + 1 : i + width + 1]) < 0.95 for i in range(n - width))


def test_bootstrap_is_repeatable_and_follows_the_data() -> None:
    values = lognormal(np.random.default_rng(3), 20, median=2.0)
    one = estimate(bca_interval(values))
    assert one == bca_interval(values)
    assert one != bca_interval(values, seed=1)
    assert one.low < one.value == np.median(values) < one.high


def test_bootstrap_of_a_mean_is_near_the_textbook_and_leans_to_the_long_tail() -> None:
    even = np.linspace(1.0, 3.0, 20)
    half = 2.093 * even.std(ddof=1) / np.sqrt(20)  # Student's t, 19 degrees of freedom
    found = estimate(bca_interval(even, statistic=lambda rows: rows.mean(axis=1)))
    assert (found.low, found.value, found.high) == pytest.approx((2 - half, 2, 2 + half), abs=0.06 * half)
    skewed = estimate(bca_interval(even**6, statistic=lambda rows: rows.mean(axis=1)))
    assert skewed.high - skewed.value > 1.1 * (skewed.value - skewed.low)


def test_nothing_is_too_few() -> None:
    assert [median_interval([]), quantile_interval([], 0.95), bca_interval([]), hierarchical_interval([])] == [
        TooSmall(0, needed) for needed in (6, 59, 5, 5)
    ]
    assert compare([], [1.0] * 9).ratio == TooSmall(0, 4)


def test_equal_values_have_an_interval_of_no_width() -> None:
    for found in (median_interval([2.0] * 9), bca_interval([2.0] * 9), hierarchical_interval([[2.0, 2.0]] * 9)):
        assert (estimate(found).low, estimate(found).value, estimate(found).high) == (2.0, 2.0, 2.0)
    assert compare([2.0] * 9, [2.0] * 9).verdict is Verdict.CANNOT_TELL


def test_processes_count_and_not_iterations() -> None:
    rng = np.random.default_rng(4)
    apart = nested(rng, 8, 200, between=0.2, within=0.02)
    grouped = estimate(hierarchical_interval(apart))
    pooled = estimate(bca_interval(np.concatenate(apart)))
    assert grouped.n == 8
    assert grouped.high - grouped.low > 3 * (pooled.high - pooled.low)
    ragged = [process[: 3 + 20 * index] for index, process in enumerate(apart)]
    assert estimate(hierarchical_interval(ragged)).value == np.median([np.median(process) for process in ragged])


@given(st.lists(times, min_size=4, max_size=12), st.lists(times, min_size=4, max_size=12))
def test_swapped_sides_swap_the_verdict(one: list[float], other: list[float]) -> None:
    there, back = compare(one, other), compare(other, one)
    a, b = estimate(there.ratio), estimate(back.ratio)
    assert (a.low, a.value, a.high) == pytest.approx((1 / b.high, 1 / b.value, 1 / b.low))
    mirrored = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    assert back.verdict is mirrored.get(there.verdict, Verdict.CANNOT_TELL)


@given(samples, st.sampled_from([0.25, 2.0, 16.0]))
def test_ratio_finds_the_factor(values: list[float], factor: float) -> None:
    assert estimate(compare(values, [value * factor for value in values]).ratio).value == pytest.approx(factor)


def test_verdicts() -> None:
    rng = np.random.default_rng(5)
    base = lognormal(rng, 12, sigma=0.05)
    slower = compare(base, lognormal(rng, 12, median=1.2, sigma=0.05))
    assert slower.verdict is Verdict.SLOWER
    assert slower.slower_by(0.05)
    assert not slower.slower_by(0.3)
    assert not slower.faster_by(0.0)
    faster = compare(base, lognormal(rng, 12, median=0.5, sigma=0.05))
    assert faster.verdict is Verdict.FASTER
    assert faster.faster_by(0.4)
    assert not faster.faster_by(0.6)
    assert compare(base, lognormal(rng, 12, sigma=0.05)).verdict is Verdict.CANNOT_TELL
    few = compare([1.0, 1.1, 1.2], [9.0, 9.1, 9.2])
    assert (few.ratio, few.verdict) == (TooSmall(3, 4), Verdict.CANNOT_TELL)
    assert not few.slower_by(0.0)
    assert not few.faster_by(0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: median_interval([1.0, nan]), "finite"),
        (lambda: median_interval(np.ones((3, 3))), "2 dimensions"),
        (lambda: median_interval([1.0] * 9, confidence=95), "0.95 for 95 %"),
        (lambda: quantile_interval([1.0] * 9, 99), "0.95 for p95"),
        (lambda: compare([1.0, 0.0], [1.0]), "above 0"),
        (lambda: compare([1.0] * 3001, [1.0]), "one per process"),
        (lambda: hierarchical_interval([[1.0]] * 5 + [[]]), "no iterations"),
    ],
)
def test_what_cannot_work_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()
