import numpy as np
import pytest

from pilotlight.bench.load.arrivals import constant, poisson
from pilotlight.bench.load.results import Generator
from tests.bench.load.load_results import IDLE, requests, step

EVEN = constant(20.0, duration_s=10.0, requests=None).tolist()


def random_times(seed=0, rate=20.0):
    return poisson(rate, duration_s=10.0, requests=None, seed=(seed,)).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_a_generator_that_does_what_it_was_asked_for_gets_its_verdict(seed):
    found = step(requests(random_times(seed), late_s=0.0005))
    assert found.audit.problems == ()
    assert found.verdict == "keeps_up"
    assert found.audit.sent_share == pytest.approx(1, abs=0.01)
    assert (found.audit.asked_gap_cv, found.audit.asked_gap_autocorrelation) == (1, 0)


def test_constant_and_trace_arrivals_are_held_against_their_own_gaps():
    even = step(requests(EVEN), "constant").audit
    assert (even.asked_gap_cv, even.asked_gap_autocorrelation, even.gap_autocorrelation) == (0, None, None)
    bursts = np.cumsum(([0.001] * 9 + [0.5]) * 19).tolist()
    trace = step(requests(bursts), "trace").audit
    assert trace.problems == ()
    assert trace.gap_cv == trace.asked_gap_cv > 2
    assert "the gaps between starts vary" in " ".join(step(requests(bursts), "poisson").audit.problems)


def test_gaps_that_follow_each_other_are_no_poisson_arrivals():
    # Ten workers with one seed: every arrival ten times.
    times = np.repeat(poisson(5.0, duration_s=40.0, requests=None, seed=(1,)), 10).tolist()
    assert any("vary by" in one for one in step(requests(times), "poisson", window_s=40.0).audit.problems)
    slow_waves = np.cumsum(np.exp(np.sin(np.arange(400) / 20))) / 40
    problems = step(requests(slow_waves.tolist()), "poisson").audit.problems
    assert any("successive gaps between starts are correlated" in one for one in problems)


def problems(rows, arrivals="poisson", generator=IDLE):
    found = step(rows, arrivals, generator=generator)
    assert (found.verdict is None) == bool(found.audit.problems)
    return " ".join(found.audit.problems)


def test_lateness():
    assert "the generator was late: p99 50.0 ms" in problems(requests(random_times(), late_s=0.05))
    # A tenth of the service time is little.
    assert problems(requests(random_times(), service_s=1.0, late_s=0.05)) == ""


def test_a_rate_that_was_not_reached():
    n = len(EVEN)
    slower = requests(EVEN, service_s=1.0, late_s=[i * 0.005 for i in range(n)])
    assert "the generator sent at 90.9%" in problems(slower, "constant")


def test_a_generator_without_time_to_spare():
    busy = Generator(wall_s=10.0, cpu_s=9.0, lags_s=(0.001,), steal_share=None)
    assert "the generator used 90% of a processor core" in problems(requests(random_times()), generator=busy)
    lagging = Generator(wall_s=10.0, cpu_s=1.0, lags_s=(0.001, 0.2), steal_share=None)
    assert "event loop was late: p99" in problems(requests(random_times()), generator=lagging)
    assert "event loop was late: p99" in problems(requests(EVEN), None, generator=lagging)


def test_arrivals_that_were_not_sent_spoil_the_verdict():
    times = random_times()
    some = requests(times, outcome=("not_sent",) + ("succeeded",) * (len(times) - 1))
    assert "1 arrivals were not sent, since too many were in flight" in problems(some)


def test_too_few():
    assert "needs at least 6 requests for an interval (have 3): give more --duration" in problems(
        requests([0.0, 1.0, 3.0])
    )
    none = requests([0.0, 1.0, 3.0], outcome=("failed",) * 3)
    assert "no request succeeded" in problems(none)
    assert "no request succeeded" in problems(requests([]))


def test_a_queue_that_only_grows_is_overload():
    # 20 come in a second, 10 are served.
    waiting = [i * 0.05 for i in range(len(EVEN))]
    sent = tuple(time + wait for time, wait in zip(EVEN, waiting, strict=True))
    done = tuple(time + 0.1 for time in sent)
    assert step(requests(EVEN, sent_s=sent, done_s=done), "constant").verdict == "overloaded"
    # The same number in flight all the time, however many, is none.
    assert step(requests(EVEN, service_s=2.0), "constant").verdict == "keeps_up"


def test_a_step_that_is_short_beside_a_prediction_shows_no_steady_state():
    assert "a prediction takes 4 s, the step 10 s: give more --duration" in problems(requests(EVEN, 4.0), "constant")


def test_refusals_are_overload():
    outcome = ("rejected",) * 10 + ("succeeded",) * (len(EVEN) - 10)
    assert step(requests(EVEN, outcome=outcome), "constant").verdict == "overloaded"


def test_a_closed_loop_is_measured_and_what_was_interrupted_is_not():
    assert step(requests(EVEN), None).verdict == "measured"
    assert step(requests(EVEN), None, complete=False).verdict is None
