import csv
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from pilotlight.bench.load.arrivals import constant, gap_autocorrelation, gap_cv, poisson, read_trace, replay
from pilotlight.bench.load.steps import closed_steps, constant_steps, poisson_steps, trace_step
from pilotlight.errors import UsageError

SEEDS = range(30)
ALL = {"duration_s": None, "requests": None}


def test_poisson_arrivals_are_independent_at_the_rate_over_many_seeds():
    schedules = [poisson(50.0, duration_s=40.0, requests=None, seed=(seed,)) for seed in SEEDS]
    sizes = [schedule.size for schedule in schedules]
    # 2000 expected in each, with a standard deviation of 45; of the mean of 30, 8.
    assert abs(np.mean(sizes) - 2000) < 5 * 45 / np.sqrt(len(SEEDS))
    assert np.std(sizes) > 10
    assert abs(np.mean([gap_cv(one) for one in schedules]) - 1) < 0.03
    assert abs(np.mean([gap_autocorrelation(one) for one in schedules])) < 0.03
    assert all(np.all(np.diff(one) >= 0) and one[0] >= 0 and one[-1] < 40 for one in schedules)


def test_the_seed_decides_and_a_step_has_its_own():
    first, second = (poisson_steps([20.0, 20.0], duration_s=5.0, requests=None, seed=3, max_in_flight=9) for _ in "ab")
    assert np.array_equal(first[0].schedule, second[0].schedule)
    assert not np.array_equal(first[0].schedule[:20], first[1].schedule[:20])


def test_constant_arrivals_are_even():
    times = constant(4.0, duration_s=2.0, requests=None)
    assert times.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    assert gap_cv(times) == pytest.approx(0)
    assert gap_autocorrelation(times) is None
    assert constant(0.1, duration_s=30.0, requests=None).size == 3
    assert constant(4.0, duration_s=None, requests=3).size == 3


def test_bursts_that_follow_each_other_are_seen():
    times = np.cumsum(([0.01] * 9 + [1.0] * 9) * 20)
    assert gap_autocorrelation(times) > 0.7


def write(path, *rows, header=("TIMESTAMP", "ContextTokens")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_trace_arrivals_equal_those_of_the_file(tmp_path):
    stamps = ["2023-11-16 18:17:03.9799600", "2023-11-16 18:17:04.0319600", "2023-11-16 18:17:07.5000001"]
    times = read_trace(write(tmp_path / "trace.csv", *([stamp, 5] for stamp in stamps)))
    asked = [datetime.fromisoformat(stamp[:26]) for stamp in stamps]
    assert times.tolist() == pytest.approx([(one - asked[0]).total_seconds() for one in asked], abs=1e-6)
    assert replay(times, scale=2.0, **ALL).tolist() == pytest.approx((times / 2).tolist())
    assert replay(times, scale=1.0, duration_s=1.0, requests=None).size == 2
    assert replay(times, scale=1.0, duration_s=None, requests=1).size == 1


def test_a_trace_in_seconds_and_in_any_order(tmp_path):
    path = write(tmp_path / "trace.csv", [12.5, 1], [10.0, 1], [11.0, 1], header=("arrival_time", "n"))
    assert read_trace(path).tolist() == [0.0, 1.0, 2.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "no column of times"),
        ("when,n\n1,2\n", "no column of times"),
        ("TIMESTAMP\n1\nsoon\n", "line 3: 'soon' is neither seconds nor a date"),
        ("TIMESTAMP\n1\nnan\n", "line 3: 'nan' is neither"),
        ("n,TIMESTAMP\n1,1\n2\n", "line 3: '' is neither"),
        ("TIMESTAMP\n1\n", "has 1 arrivals; at least 2"),
        ("TIMESTAMP\n\xff\n", "is not a CSV file"),
    ],
)
def test_a_trace_that_is_none(tmp_path, text, message):
    path = Path(tmp_path / "trace.csv")
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        read_trace(path)


def test_what_a_step_cannot_hold_is_refused():
    with pytest.raises(UsageError, match="arrivals, but a step takes 1,000,000; give less --duration"):
        constant(1e6, duration_s=10.0, requests=None)
    with pytest.raises(UsageError, match="no arrival falls into"):
        poisson(1e-6, duration_s=1.0, requests=None, seed=(0,))


def test_how_long_steps_last():
    assert [step.duration_s for step in constant_steps([2.0], duration_s=5.0, requests=None, max_in_flight=9)] == [5.0]
    assert constant_steps([2.0], duration_s=None, requests=6, max_in_flight=9)[0].duration_s == 3.0
    assert [str(step) for step in closed_steps([1, 2], duration_s=1.0, requests=None)] == ["1 client", "2 clients"]
    trace = np.asarray([0.0, 1.0, 2.0, 3.0])
    given = {"requests": None, "max_in_flight": 9}
    cut = trace_step(trace, scale=1.0, duration_s=2.5, **given)
    assert (cut.duration_s, cut.rate, cut.schedule.size) == (2.5, 3 / 2.5, 3)
    whole = trace_step(trace, scale=2.0, duration_s=60.0, **given)
    assert (whole.duration_s, whole.rate) == (2.0, 2.0)
