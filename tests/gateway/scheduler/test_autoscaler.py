"""How many workers."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pilotlight.errors import UsageError
from pilotlight.gateway.scheduler.autoscaler import Decision, Limits, WorkerView, decide, desired, retry_after_s

NOW = 1000.0


def worker(number=1, *, ready=True, running=0, idle_since=NOW):
    return WorkerView(number, ready, running, idle_since)


@st.composite
def limits(draw):
    most = draw(st.integers(1, 6))
    return Limits(
        min_workers=draw(st.integers(0, most)),
        max_workers=most,
        slots=draw(st.integers(1, 4)),
        idle_timeout_s=draw(st.sampled_from([0.0, 5.0, 300.0])),
    )


@st.composite
def situations(draw):
    chosen = draw(limits())
    workers = []
    for number in range(draw(st.integers(0, chosen.max_workers))):
        ready = draw(st.booleans())
        running = draw(st.integers(0, chosen.slots)) if ready else 0
        workers.append(worker(number, ready=ready, running=running, idle_since=NOW - draw(st.floats(0, 600))))
    return chosen, workers, draw(st.integers(0, 30))


@given(situations(), st.sampled_from([0.0, NOW + 10]))
def test_every_decision_keeps_to_the_limits(situation, retry_at):
    chosen, workers, waiting = situation
    decision = decide(chosen, workers, waiting, NOW, retry_at=retry_at)
    after = len(workers) + decision.start - len(decision.stop)
    assert after <= chosen.max_workers
    assert after >= min(len(workers), desired(chosen, workers, waiting))
    assert not (decision.start and decision.stop)
    stopped = [one for one in workers if one.number in decision.stop]
    assert len(stopped) == len(decision.stop)
    assert all(one.ready and not one.running and NOW - one.idle_since >= chosen.idle_timeout_s for one in stopped)
    if retry_at > NOW:
        assert decision.start == 0
    else:
        assert after >= chosen.min_workers
    assert decision.again_at is None or decision.again_at > NOW


@given(situations())
def test_a_decision_once_carried_out_is_the_last(situation):
    chosen, workers, waiting = situation
    first = decide(chosen, workers, waiting, NOW)
    kept = [one for one in workers if one.number not in first.stop]
    kept += [worker(100 + n, ready=False) for n in range(first.start)]
    second = decide(chosen, kept, waiting, NOW)
    assert (second.start, second.stop) == (0, ())


@given(situations())
def test_left_alone_a_version_ends_at_its_least_number_of_workers(situation):
    chosen, workers, _ = situation
    assume(all(one.ready and not one.running for one in workers))
    now = NOW
    for _ in range(10):
        decision = decide(chosen, workers, 0, now)
        workers = [one for one in workers if one.number not in decision.stop]
        workers += [worker(100 + n, idle_since=now) for n in range(decision.start)]
        if decision.again_at is None:
            break
        now = decision.again_at
    assert len(workers) == chosen.min_workers


def test_one_waits_for_a_sleeping_version():
    assert decide(Limits(max_workers=3), [], 1, NOW) == Decision(1, (), None)


def test_as_many_workers_as_the_slots_need():
    assert decide(Limits(max_workers=9, slots=4), [worker(running=4)], 9, NOW).start == 3


def test_the_longest_idle_worker_goes_first_and_the_next_in_time():
    idle = [worker(1, idle_since=NOW - 20), worker(2, idle_since=NOW - 30), worker(3, idle_since=NOW - 5)]
    chosen = Limits(min_workers=1, max_workers=3, idle_timeout_s=25)
    assert decide(chosen, idle, 0, NOW) == Decision(0, (2,), NOW + 5)


def test_after_a_failed_start_nothing_is_started_for_a_while():
    assert decide(Limits(), [], 1, NOW, retry_at=NOW + 7) == Decision(0, (), NOW + 7)
    assert decide(Limits(), [], 1, NOW + 7, retry_at=NOW + 7) == Decision(1, (), None)


@pytest.mark.parametrize(("least", "most"), [(-1, 1), (2, 1), (0, -1)])
def test_impossible_limits_are_refused(least, most):
    with pytest.raises(UsageError, match="workers contradict each other"):
        Limits(min_workers=least, max_workers=most)


def test_with_a_maximum_of_none_predictions_wait():
    none = Limits(max_workers=0)
    assert decide(none, [], 5, NOW) == Decision(0, (), None)
    assert retry_after_s(none, 9.0) == 9


@pytest.mark.parametrize(("predict_s", "expected"), [(0.0, 1), (9.0, 5), (1e6, 60)])
def test_a_refused_caller_is_told_when_a_slot_should_be_free(predict_s, expected):
    assert retry_after_s(Limits(max_workers=1, slots=2), predict_s) == expected


def test_idle_workers_beyond_what_is_allotted_are_stopped_at_once_and_busy_ones_are_not():
    limits = Limits(max_workers=3, idle_timeout_s=100.0)
    views = [WorkerView(1, True, 1, 5.0), WorkerView(2, True, 0, 6.0), WorkerView(3, True, 0, 7.0)]
    assert decide(limits, views, 0, 10.0, allotted=2).stop == (2,)
    assert decide(limits, views, 0, 10.0, allotted=0).stop == (2, 3)
    assert decide(limits, views, 5, 10.0, allotted=1) == Decision(0, (2, 3), None)
    assert decide(limits, [], 5, 10.0, allotted=2).start == 2
