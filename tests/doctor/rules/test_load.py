"""Rules about many callers at once, on made-up observations."""

from dataclasses import replace

import pytest

from pilotlight.doctor.findings import Fault, Fine, Unclear
from pilotlight.doctor.observed import Wave
from pilotlight.doctor.rules.load import wave_sizes
from tests.doctor.cases import check, facts, runs, waves


@pytest.mark.parametrize(
    ("slots", "sizes"),
    [(1, (8,)), (2, (1, 2)), (4, (1, 4)), (8, (2, 8)), (16, (4, 8, 16)), (32, (8, 32)), (64, (8, 16, 64))],
)
def test_the_sizes_of_waves(slots, sizes):
    assert wave_sizes(slots) == sizes


@pytest.mark.parametrize(
    ("slots", "each_s", "found", "kind"),
    [
        (1, 0.25, waves(c8=2.0), Fault),
        (1, 0.25, (), Fault),  # too long to try, and yet known: there is one slot
        (1, 0.05, (), Fine),
        (1, 0.25, waves(c8=0.6), Fine),
        (4, 0.25, waves(c1=0.25, c4=1.0), Fine),  # that is the other rule's
    ],
)
def test_one_at_a_time(slots, each_s, found, kind):
    ran = runs(each_s, each_s, each_s, waves=found)
    assert type(check("one-at-a-time", facts(ran, max_concurrency=slots))) is kind


def test_one_at_a_time_says_what_the_last_caller_waits():
    outcome = check("one-at-a-time", facts(runs(0.25, 0.25, waves=waves(c8=2.0))))
    assert outcome.evidence[:2] == (
        "8 clients at once get 1.0 times the throughput of one",
        "the last of them waits 2.00 s instead of 250 ms",
    )


def test_a_request_that_may_hold_several_is_a_batch():
    ran = replace(runs(0.25, 0.25), inputs={"texts": ["a"]})
    assert type(check("one-at-a-time", facts(ran))) is Fine


NO_GAIN = waves(c2=0.4, c8=1.6)
BLOCKED = ((100.2, 100.4),)


@pytest.mark.parametrize(
    ("found", "more", "kind"),
    [
        (waves(c2=0.4, c8=1.6), {}, Fault),
        (waves(c2=0.2, c8=0.2), {}, Fine),
        (waves(c2=0.2, c8=0.7), {}, Fine),  # 10/s and 11.4/s
        (waves(c2=0.2, c8=0.76), {}, Fault),  # 10/s and 10.5/s: noise
        (waves(c2=0.4, c8=1.6)[:3], {}, Unclear),
        ((), {}, Unclear),
        (waves(c2=0.4, c8=1.6), {"gpu": True}, Unclear),
        (waves(c2=0.4, c8=1.6), {"gpu": True, "gpu_here": True}, Fault),
        (waves(c2=0.4, c8=1.6), {"busy": True}, Fault),  # nobody else's work explains it
        (tuple(replace(one, waited_s=one.wall_s / 8 * one.clients / 2) for one in NO_GAIN), {}, Unclear),
        (tuple(replace(one, waited_s=one.wall_s / 2) for one in NO_GAIN), {}, Fault),  # all of them alike
        (tuple(replace(one, waited_s=None) for one in NO_GAIN), {"busy": True}, Unclear),
        (tuple(replace(one, waited_s=None) for one in NO_GAIN), {}, Fault),
        (tuple(replace(one, failed=1) for one in waves(c2=0.4, c8=1.6)), {}, Unclear),
    ],
)
def test_too_many_slots(found, more, kind):
    ran = runs(0.2, 0.2, 0.2, waves=found)
    assert type(check("too-many-slots", facts(ran, max_concurrency=8, **more))) is kind


def test_slots_are_no_question_where_predictions_are_quick_or_there_is_one():
    assert type(check("too-many-slots", facts(runs(0.01, 0.01), max_concurrency=8))) is Fine
    assert type(check("too-many-slots", facts(max_concurrency=1))) is Fine


def test_a_blocked_loop_comes_before_the_number_of_slots():
    ran = runs(0.2, 0.2, waves=waves(c2=0.4, c8=1.6), loop_blocked=BLOCKED)
    outcome = check("too-many-slots", facts(ran, max_concurrency=8, code={"is_async": True}))
    assert outcome == Unclear("the event loop is blocked: fix that first")


@pytest.mark.parametrize(
    ("least", "rate", "more", "kind"),
    [
        (None, 5.0, {}, Fine),
        (1, 5.0, {}, Fine),
        (4, None, {}, Unclear),
        (4, 5.0, {}, Fault),
        (4, 25.0, {}, Fine),
        (4, 5.0, {"gpu": True}, Unclear),
    ],
)
def test_too_many_replicas(least, rate, more, kind):
    # One replica does 8 predictions a second.
    ran = runs(0.5, 0.5, waves=(Wave(4, 0.5),))
    assert type(check("too-many-replicas", facts(ran, min_replicas=least, rate=rate, **more))) is kind


def test_too_many_replicas_says_how_many_are_needed():
    outcome = check("too-many-replicas", facts(runs(0.5, 0.5), min_replicas=4, rate=3.0))
    assert outcome.evidence == (
        "infera.yaml: 4 replicas are always on",
        "one replica serves 2.0/s; the expected 3/s need 2",
    )


@pytest.mark.parametrize("rule", ["one-at-a-time", "too-many-slots", "too-many-replicas"])
def test_only_a_run_can_tell(rule):
    outcome = check(rule, facts(max_concurrency=4 if rule == "too-many-slots" else 1, min_replicas=3, rate=1.0))
    assert outcome == Unclear("needs a run")
