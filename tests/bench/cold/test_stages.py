"""The waterfall: every moment is charged once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bench.cold.stages import OTHER, STAGES, Interval, StageTime, charge, union, waterfall

TIMES = st.floats(-1, 12, allow_nan=False)
NAMES = st.sampled_from([*STAGES[:-1], "my_stage"])
INTERVALS = st.lists(
    st.builds(lambda name, a, b: Interval(name, min(a, b), max(a, b)), NAMES, TIMES, TIMES), max_size=12
)


def fall(*intervals, wall_s=10.0):
    return {
        one.stage: (round(one.charged_s, 9), round(one.overlapped_s, 9))
        for one in waterfall([Interval(*interval) for interval in intervals], wall_s)
    }


@given(INTERVALS)
def test_the_charged_times_sum_to_the_wall_time_whatever_the_stages_are(intervals):
    stages = waterfall(intervals, 10.0)
    assert math.isclose(sum(one.charged_s for one in stages), 10.0, rel_tol=1e-9)
    assert all(one.charged_s >= 0 and one.overlapped_s >= 0 for one in stages)
    assert stages[-1].stage == OTHER


@given(INTERVALS)
def test_charged_and_overlapped_are_how_long_a_stage_ran(intervals):
    lasted = {}
    for one in union(intervals):
        inside = min(one.end_s, 10.0) - max(one.start_s, 0.0)
        lasted[one.stage] = lasted.get(one.stage, 0.0) + max(0.0, inside)
    for stage in waterfall(intervals, 10.0)[:-1]:
        assert math.isclose(stage.charged_s + stage.overlapped_s, lasted[stage.stage], abs_tol=1e-9)


def test_nothing_known_is_other():
    assert waterfall([], 2.5) == (StageTime(OTHER, 2.5, 0.0),)


def test_one_after_the_other_with_a_gap():
    assert fall(("spawn", 0, 2), ("imports", 2, 5), ("ready", 6, 10)) == {
        "spawn": (2, 0),
        "imports": (3, 0),
        "ready": (4, 0),
        OTHER: (1, 0),
    }


def test_the_inner_of_two_stages_is_charged_and_the_outer_keeps_the_overlap():
    assert fall(("weights", 0, 10), ("imports", 4, 6))["weights"] == (8, 2)


def test_setup_gives_way_to_what_is_inside_and_to_what_began_before_it():
    found = fall(("setup", 2, 10), ("weights", 1, 4), ("warmup", 8, 9))
    assert found == {"weights": (3, 0), "warmup": (1, 0), "setup": (5, 3), OTHER: (1, 0)}


def test_the_first_prediction_is_never_split():
    assert fall(("first_prediction", 5, 10), ("imports", 6, 8)) == {
        "imports": (0, 2),
        "first_prediction": (5, 0),
        OTHER: (5, 0),
    }


def test_a_stage_on_two_threads_is_no_overlap_with_itself():
    assert fall(("weights", 0, 6), ("weights", 3, 10)) == {"weights": (10, 0), OTHER: (0, 0)}


def test_stages_come_in_order_and_a_projects_own_ones_before_other():
    stages = waterfall([Interval("ready", 1, 2), Interval("tokenizer", 0, 1), Interval("imports", 2, 3)], 4.0)
    assert [one.stage for one in stages] == ["imports", "ready", "tokenizer", OTHER]


def test_charged_intervals_follow_each_other_and_one_stage_is_one_piece():
    inside = [Interval("setup", 1.0, 4.0), Interval("weights", 2.0, 3.0), Interval("weights", 2.5, 3.5)]
    assert charge(inside, 5.0) == [
        Interval(OTHER, 0.0, 1.0),
        Interval("setup", 1.0, 2.0),
        Interval("weights", 2.0, 3.5),
        Interval("setup", 3.5, 4.0),
        Interval(OTHER, 4.0, 5.0),
    ]
