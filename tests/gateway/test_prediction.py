"""The life of a prediction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway import prediction as lifecycle
from pilotlight.types import Prediction, Status
from tests.gateway.made import made_record

TIMES = st.floats(min_value=0, max_value=1e9)
LAST = st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), TIMES, st.floats(min_value=-10, max_value=1e6)),
        st.tuples(st.just("finish"), TIMES, LAST),
        st.tuples(st.just("fail"), TIMES),
        st.tuples(st.just("cancel"), TIMES),
        st.tuples(st.just("recover"), TIMES),
    ),
    max_size=6,
)


def take(record, step):
    match step:
        case ("begin", now, cold_start_s):
            return lifecycle.begin(record, now, cold_start_s=cold_start_s)
        case ("finish", now, status):
            return lifecycle.finish(record, Prediction(record.id, status, output=["x"], metrics={"tokens": 3}), now)
        case ("fail", now):
            return lifecycle.fail(record, "it broke", now, logs="its last words")
        case ("cancel", now):
            return lifecycle.cancel(record, now)
        case ("recover", now):
            return lifecycle.recover(record, now)


ALLOWED = {
    "begin": {Status.STARTING},
    "finish": {Status.PROCESSING},
    "fail": {Status.STARTING, Status.PROCESSING},
    "cancel": {Status.STARTING},
    "recover": set(Status),
}


@given(STEPS)
def test_any_sequence_of_steps_keeps_to_the_machine(steps):
    record = made_record()
    for step in steps:
        if record.status not in ALLOWED[step[0]]:
            with pytest.raises(AssertionError, match="this is a bug"):
                take(record, step)
            continue
        before, record = record, take(record, step)
        if before.status.terminal:
            assert record == before
        assert (record.completed_at is not None) == record.status.terminal
        assert (record.error is not None) == (record.status is Status.FAILED)
        if record.status is Status.PROCESSING:
            assert record.started_at >= record.created_at
        if record.status.terminal:
            parts = [record.metrics[name] for name in ("queue_s", "cold_start_s", "predict_s")]
            assert min(parts) >= 0
            assert sum(parts) == pytest.approx(record.completed_at - record.created_at)
            assert record.metrics["total_time"] == record.completed_at - record.created_at


def test_the_wait_for_a_cold_worker_is_told_from_the_wait_for_a_slot():
    begun = lifecycle.begin(made_record(), 107.0, cold_start_s=3.0)
    assert begun.metrics == {"queue_s": 4.0, "cold_start_s": 3.0}
    prediction = Prediction("a", Status.SUCCEEDED, output="x", metrics={"predict_time": 1.5, "queue_s": -1})
    ended = lifecycle.finish(begun, prediction, 109.0)
    assert ended.metrics == {
        "queue_s": 4.0,
        "cold_start_s": 3.0,
        "predict_s": 2.0,
        "predict_time": 1.5,
        "total_time": 9.0,
    }


def test_a_failure_keeps_what_was_printed():
    begun = lifecycle.begin(made_record(logs="first line"), 101.0)
    assert lifecycle.fail(begun, "died", 102.0).logs == "first line"
    assert lifecycle.fail(begun, "died", 102.0, logs="all lines").logs == "all lines"
    assert (
        lifecycle.finish(begun, Prediction("a", Status.FAILED), 102.0).error
        == "the prediction failed without a message"
    )


def test_a_new_gateway_runs_what_waited_and_reports_what_ran():
    waiting = made_record()
    assert lifecycle.recover(waiting, 200.0) is waiting
    ran = lifecycle.recover(lifecycle.begin(waiting, 101.0), 200.0)
    assert (ran.status, ran.error, ran.completed_at) == (Status.FAILED, lifecycle.INTERRUPTED, 200.0)
