"""The loop that measures warm-ups, on workers with planted times and a clock that does not wait."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from pilotlight.bench.harness.targets import BenchTarget, StartOptions
from pilotlight.bench.stats.synthetic import lognormal
from pilotlight.bench.stats.warmup import Shape
from pilotlight.bench.warm.measure import WarmPlan, measure
from pilotlight.bench.warm.workers import FakeWorkers
from pilotlight.runtime import Project
from tests.paths import PROJECTS


def levels(*given, seed=0):
    """Times by (count, seconds), with 2 % of noise."""
    level_s = np.repeat([seconds for _, seconds in given], [count for count, _ in given])
    return [float(one) for one in level_s * lognormal(np.random.default_rng(seed), len(level_s), sigma=0.02)]


def run(processes, iterations, **times_s):
    project = Project.load(PROJECTS / "warm_planted")
    options = StartOptions(Path(sys.executable), {}, 60.0, 60.0)
    targets = tuple(BenchTarget(name, project) for name in times_s)
    saved, announced = [], []

    async def scenario():
        workers = FakeWorkers(times_s)
        plan = WarmPlan(targets, processes, iterations, 0, options)
        result = await measure(
            plan, lambda _: {"word": "b"}, save=saved.append, announce=announced.append, workers=workers
        )
        return result, workers

    result, workers = asyncio.run(scenario())
    assert all(worker.stopped for worker in workers.made)
    return result, saved, announced


def test_planted_shapes_are_found():
    result, _, _ = run(
        5,
        90,
        warms=levels((40, 0.045), (50, 0.015)),
        slows=levels((25, 0.015), (65, 0.045)),
        flat=levels((90, 0.02)),
        never=levels((18, 0.005), (18, 0.06), (18, 0.005), (18, 0.06), (18, 0.005)),
    )
    found = {info.name: result.warmup(info.name) for info in result.projects}
    assert {name: warmup.shape for name, warmup in found.items()} == {
        "warms": Shape.WARM_UP,
        "slows": Shape.SLOWDOWN,
        "flat": Shape.FLAT,
        "never": Shape.NO_STEADY_STATE,
    }
    assert found["warms"].iterations_to_steady == 40
    assert found["slows"].iterations_to_steady == 25
    assert result.steady_times_s("warms") == pytest.approx([0.015] * 5, rel=0.02)
    assert result.steady_times_s("never") == []


def test_the_pause_between_predictions_is_in_none_of_the_times():
    result, _, _ = run(1, 3, plain=[0.5, 0.25, 0.125])
    assert result.processes[-1].times_s == pytest.approx((0.5, 0.25, 0.125), abs=1e-9)
    assert result.processes[-1].ready_s == 1.0
    assert result.projects[0].inputs == {"word": "b"}


def test_the_result_grows_with_every_process_and_one_that_fails_stops_no_other():
    result, saved, announced = run(2, 3, short=[0.1], plain=[0.1] * 3)
    assert [len(one.processes) for one in saved] == [*range(len(result.processes) + 1), len(result.processes)]
    (failed,) = result.failures("short")
    assert (failed.outcome, failed.times_s) == ("prediction_failed", pytest.approx((0.1,)))
    assert len(result.measured("plain")) == 2
    assert [step.target.name for step in announced if step.round == 1] == ["plain"]
