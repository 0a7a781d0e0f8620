"""PELT against ruptures and against trying everything; outliers and segments on planted series."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from ruptures import Pelt
from ruptures.costs import CostNormal

from pilotlight.bench.stats.changepoints import outliers, pelt, segments
from pilotlight.bench.stats.synthetic import lognormal

RUPTURES_FLOOR = 1e-6  # what its CostNormal adds to every variance


def total(values: NDArray[np.float64], cuts: tuple[int, ...], penalty: float) -> float:
    bounds = [0, *cuts, values.size]
    return sum((b - a) * math.log(values[a:b].var() + RUPTURES_FLOOR) + penalty for a, b in pairwise(bounds))


def least(values: NDArray[np.float64], penalty: float, min_size: int) -> float:
    """The best total there is, from all ways to cut."""
    best = [0.0, *[math.inf] * values.size]
    for stop in range(min_size, values.size + 1):
        for start in range(stop - min_size + 1):
            cost = (stop - start) * math.log(values[start:stop].var() + RUPTURES_FLOOR) + penalty
            best[stop] = min(best[stop], best[start] + cost)
    return best[-1]


def random_series(rng: np.random.Generator) -> NDArray[np.float64]:
    values = 0.1 * rng.standard_normal(int(rng.integers(20, 70)))
    for cut in rng.integers(1, values.size, int(rng.integers(0, 4))):
        values[cut:] = values[cut:] * rng.uniform(0.3, 3.0) + rng.normal()
    return values


def test_pelt_equals_ruptures_on_200_random_series() -> None:
    rng = np.random.default_rng(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it adds RUPTURES_FLOOR
        oracle = Pelt(custom_cost=CostNormal(), min_size=2, jump=1)
    found = 0
    for _ in range(200):
        values = random_series(rng)
        penalty = 15 * math.log(values.size)
        cuts = pelt(values, penalty=penalty, floor=RUPTURES_FLOOR)
        assert [*cuts, values.size] == oracle.fit_predict(values, pen=penalty)
        found += len(cuts)
    assert found > 100  # else they would have agreed on nothing much


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=14),
    st.sampled_from([0.5, 3.0, 20.0]),
    st.integers(2, 4),
)
def test_no_way_to_cut_is_better(levels: list[int], penalty: float, min_size: int) -> None:
    values = np.array(levels, dtype=np.float64)
    cuts = pelt(values, penalty=penalty, floor=RUPTURES_FLOOR, min_size=min_size)
    sizes = np.diff([0, *cuts, values.size])
    assert len(cuts) == 0 or sizes.min() >= min_size
    if values.size >= min_size:
        assert total(values, cuts, penalty) == pytest.approx(least(values, penalty, min_size), abs=1e-6)


@given(st.lists(st.floats(1e-3, 10.0), max_size=60), st.sampled_from([2.0**-10, 2.0**10]))
def test_segments_are_without_gaps_and_do_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    found = segments(values)
    assert [part.start for part in found] == [0, *(part.stop for part in found)][: len(found)]
    assert (found[-1].stop if found else 0) == len(values)
    assert [part.start for part in segments([value * unit for value in values])] == [part.start for part in found]


def test_planted_changes_are_found_far_from_zero() -> None:
    values = 1e4 + np.random.default_rng(1).standard_normal(2000)
    values[700:1500] += 2.0
    values[1500:] = 1e4 + 4 * (values[1500:] - 1e4)
    found = segments(values)
    assert [part.start for part in found] == pytest.approx([0, 700, 1500], abs=10)
    assert [part.deviation_s for part in found] == pytest.approx([1, 1, 4], rel=0.15)
    assert [part.mean_s - 1e4 for part in found] == pytest.approx([0, 2, 0], abs=0.5)


def test_equal_readings_are_one_segment() -> None:
    assert [(part.start, part.stop) for part in segments([0.25] * 100)] == [(0, 100)]
    ticks = np.round(lognormal(np.random.default_rng(2), 300, median=10.0, sigma=0.05))  # a clock with 20 steps
    ticks[40:60] = ticks[40]
    assert len(segments(ticks)) == 1
    assert segments([]) == ()
    assert outliers([]).size == 0


def test_pauses_are_outliers_wherever_they_are_but_at_the_start() -> None:
    values = lognormal(np.random.default_rng(3), 400, sigma=0.02)
    values[200:] *= 2.0
    pauses = [30, 150, 250, 399]
    values[pauses] *= 3.0
    assert np.flatnonzero(outliers(values)).tolist() == pauses
    assert [part.start for part in segments(values)] == [0, 200]
    values[:4] *= 5.0
    assert np.flatnonzero(outliers(values)).tolist() == pauses
    assert [part.start for part in segments(values)] == [0, 4, 200]
