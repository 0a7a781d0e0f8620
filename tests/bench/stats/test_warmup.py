"""Classes of planted series, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bench.stats.intervals import Estimate, TooSmall
from pilotlight.bench.stats.synthetic import Floats, lognormal, pareto, pareto_quantile, series
from pilotlight.bench.stats.warmup import MIN_ITERATIONS, ProcessWarmup, Shape, classify, format_seconds, summarize
from pilotlight.errors import UsageError


def steady(seed: int, n: int = 200, median: float = 0.02) -> Floats:
    return lognormal(np.random.default_rng(seed), n, median=median, sigma=0.02)


def warming(seed: int, slow: int = 40, factor: float = 3.0) -> Floats:
    times_s = steady(seed)
    times_s[:slow] *= factor
    return times_s


def test_flat() -> None:
    found = classify(steady(1))
    assert (found.shape, found.iterations_to_steady, found.seconds_to_steady, found.debt_s) == (Shape.FLAT, 0, 0.0, 0.0)
    assert found.steady_s == pytest.approx(0.02, rel=0.01)
    assert found.first_to_steady == pytest.approx(1.0, abs=0.08)


def test_forty_slow_predictions_are_warm_up() -> None:
    times_s = warming(2)
    found = classify(times_s)
    assert (found.shape, found.iterations_to_steady) == (Shape.WARM_UP, 40)
    assert found.seconds_to_steady == pytest.approx(times_s[:40].sum())
    assert found.first_to_steady == pytest.approx(3.0, rel=0.08)
    assert found.debt_s == pytest.approx(40 * 2 * 0.02, rel=0.02)


def test_a_single_slow_first_prediction_is_warm_up_of_one() -> None:
    found = classify(warming(3, slow=1, factor=10.0))
    assert (found.shape, found.iterations_to_steady) == (Shape.WARM_UP, 1)
    assert found.debt_s == pytest.approx(9 * 0.02, rel=0.08)


def test_pauses_do_not_count_for_the_steady_level() -> None:
    times_s = steady(4)
    times_s[[60, 120, 180]] *= 20.0
    found = classify(times_s)
    assert found.shape is Shape.FLAT
    assert found.steady_s == pytest.approx(0.02, rel=0.01)


def test_slowdown() -> None:
    times_s = steady(5)
    times_s[90:] *= 1.5
    found = classify(times_s)
    assert (found.shape, found.iterations_to_steady) == (Shape.SLOWDOWN, 90)
    assert found.debt_s == pytest.approx(-90 * 0.01, rel=0.03)


def test_a_warm_up_that_ends_slower_than_its_best_is_a_slowdown() -> None:
    times_s = warming(6)
    times_s[100:] *= 1.5
    assert classify(times_s).shape is Shape.SLOWDOWN


def test_a_change_in_the_last_quarter_is_no_steady_state() -> None:
    times_s = steady(7)
    times_s[155:] *= 1.5
    found = classify(times_s)
    assert found.shape is Shape.NO_STEADY_STATE
    assert len(found.segments) == 2
    assert found.steady_s is found.debt_s is found.iterations_to_steady is None


def test_a_change_of_two_percent_is_none() -> None:
    times_s = lognormal(np.random.default_rng(8), 400, sigma=0.002)
    times_s[350:] *= 1.02
    found = classify(times_s)
    assert len(found.segments) == 2
    assert found.shape is Shape.FLAT


def test_too_short() -> None:
    assert classify(steady(9)[: MIN_ITERATIONS - 1]) == ProcessWarmup(Shape.TOO_SHORT, MIN_ITERATIONS - 1)
    assert classify([]).shape is Shape.TOO_SHORT
    shortest = np.concatenate([[2.0] * 10, [1.0] * (MIN_ITERATIONS - 10)]) * steady(9, MIN_ITERATIONS)
    assert classify(shortest).shape is Shape.WARM_UP


@given(st.integers(0, 10_000), st.sampled_from([2.0**-8, 2.0**8]))
def test_unit_of_time_does_not_matter(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    made = series(Shape.WARM_UP, 150, rng)
    one, other = classify(made.times_s), classify(made.times_s * unit)
    assert (one.shape, one.iterations_to_steady) == (other.shape, other.iterations_to_steady)


def test_processes_that_agree() -> None:
    found = summarize([warming(seed) for seed in range(10, 16)])
    assert (found.shape, found.counts) == (Shape.WARM_UP, {Shape.WARM_UP: 6})
    assert isinstance(found.steady, Estimate)
    assert found.steady.low < 0.02 < found.steady.high
    assert found.iterations_to_steady == 40
    assert found.sentence == (
        "All 6 processes warm up in 40 predictions (2.4 s): the first takes 3.0 times the steady 20 ms, "
        "and the total warm-up cost is 1.6 s."
    )


def test_processes_that_disagree() -> None:
    found = summarize([steady(20), steady(21), warming(22), steady(23)[:5]])
    assert found.shape is Shape.INCONSISTENT
    assert found.counts == {Shape.FLAT: 2, Shape.WARM_UP: 1, Shape.TOO_SHORT: 1}
    assert found.steady == TooSmall(3, 6)
    assert found.iterations_to_steady == 0
    assert found.sentence == "The 4 processes disagree: 2 flat, 1 warming up, 1 too short to tell."


@pytest.mark.parametrize(
    ("times_s", "sentence"),
    [
        (np.full(100, 0.5), "The process is flat: a prediction takes 500 ms from the start."),
        (
            np.array([0.75, *[0.5, 0.6] * 50]),
            "The process is flat: a prediction takes 552 ms from the start, though the first takes 1.4 times that.",
        ),
        (
            np.array([6.0, *[1.5] * 99]),
            (
                "The process warms up in 1 prediction (6 s): the first takes 4.0 times the steady 1.5 s, "
                "and the total warm-up cost is 4.5 s."
            ),
        ),
        (
            np.array([*[0.1] * 50, *[0.2] * 50]),
            (
                "The process slows down: after 50 predictions (5 s) a prediction takes 200 ms; "
                "the first takes 0.50 times that."
            ),
        ),
        (
            np.array([*[0.1] * 90, *[0.2] * 10]),
            "The process never settles: the times still change in the last quarter of the run.",
        ),
        (np.full(7, 0.5), "Too few predictions: 7 at most in a process, 30 needed."),
    ],
)
def test_sentences(times_s: Floats, sentence: str) -> None:
    assert summarize([times_s]).sentence == sentence


def test_no_number_where_nothing_settles() -> None:
    found = summarize([np.array([*[0.1] * 90, *[0.2] * 10])] * 2)
    assert (found.steady, found.iterations_to_steady, found.debt_s) == (None, None, None)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="no processes"):
        summarize([])
    with pytest.raises(UsageError, match="above 0"):
        classify([1.0, -1.0])


def test_seconds_in_words() -> None:
    assert [format_seconds(s) for s in (0.0123, 0.999, 1.0, 83.44, -0.05)] == [
        "12.3 ms",
        "999 ms",
        "1 s",
        "83.4 s",
        "-50 ms",
    ]


def test_heavy_tail_has_the_quantiles_it_says() -> None:
    times_s = pareto(np.random.default_rng(30), 200_000, median=2.0)
    for q in (0.1, 0.5, 0.95):
        assert np.quantile(times_s, q) == pytest.approx(pareto_quantile(q, median=2.0), rel=0.03)
