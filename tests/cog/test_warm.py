"""Warm-up on real Cog servers; what shapes are found in the times, tests/bench/warm says."""

import asyncio
import sys
from pathlib import Path

from pilotlight.bench.harness.targets import BenchTarget, StartOptions
from pilotlight.bench.warm.measure import WarmPlan, measure
from pilotlight.runtime import Project
from tests.inputs import made_up
from tests.paths import PROJECTS

PLANTED = PROJECTS / "warm_planted"


def run(processes, iterations, predict_timeout_s=120, **environments):
    """Measures the planted project under each name, with the variables of that name."""
    project = Project.load(PLANTED)
    targets = tuple(BenchTarget(name, project, env) for name, env in environments.items())
    options = StartOptions(Path(sys.executable), {}, 60.0, predict_timeout_s)
    saved, announced, ticks = [], [], []
    result = asyncio.run(
        measure(
            WarmPlan(targets, processes, iterations, 0, options),
            made_up(word="b"),
            save=saved.append,
            announce=announced.append,
            tick=lambda: ticks.append(None),
        )
    )
    return result, saved, announced, ticks


def test_every_time_is_kept_and_the_result_grows_with_every_process():
    result, saved, announced, ticks = run(2, 4, plain={"LEVELS": "1x40,1000x1"})
    unmeasured, *measured = result.processes
    assert (unmeasured.measured, unmeasured.times_s) == (False, ())
    assert [one.round for one in measured] == [0, 1]
    for process in measured:
        first_s, *others_s = process.times_s
        assert first_s >= 0.04
        assert len(others_s) == 3
        assert min(others_s) >= 0.001
        assert process.ready_s > 0
    assert [len(one.processes) for one in saved] == [0, 1, 2, 3, 3]
    assert [one.finished for one in saved] == [False, False, False, False, True]
    assert [step.round for step in announced] == [-1, 0, 1]
    assert len(ticks) == 8
    assert result.projects[0].inputs == {"word": "b"}


def test_a_project_that_fails_is_reported_and_stops_none():
    result, _, announced, _ = run(
        2,
        4,
        predict_timeout_s=6.0,
        at_once={"FAIL_AFTER": "0"},
        later={"FAIL_AFTER": "3"},
        hangs={"LEVELS": "2x1,1x60000"},
        plain={},
    )
    (at_once,), (later,), (hangs,) = (result.failures(name) for name in ("at_once", "later", "hangs"))
    assert (at_once.measured, at_once.outcome) == (False, "prediction_failed")
    assert "the well is dry" in at_once.message
    assert (later.measured, later.outcome, len(later.times_s)) == (True, "prediction_failed", 3)
    assert "nothing left" in later.message
    assert (hangs.outcome, len(hangs.times_s)) == ("timed_out", 2)
    assert "did not finish within 6 s; allow more with --timeout" in hangs.message
    assert len(result.measured("plain")) == 2
    # A second process only of the project that has not failed.
    assert [step.target.name for step in announced if step.round == 1] == ["plain"]
