"""Comparisons of real Cog servers, whose times are planted."""

import asyncio
import sys
from pathlib import Path

from pilotlight.bench.compare.measure import ComparePlan, measure
from pilotlight.bench.compare.metrics import CompareMetric
from pilotlight.bench.compare.outcome import judge
from pilotlight.bench.compare.sides import opened, parse_side
from pilotlight.bench.harness.targets import StartOptions
from tests.bench.compare.repository import PLANTED, git, repository
from tests.inputs import made_up


def run(a, b, metric, runs=1, iterations=4):
    plan = ComparePlan(
        a=a,
        b=b,
        metric=metric,
        runs=runs,
        iterations=iterations,
        seed=0,
        drop_method=None,
        options=StartOptions(Path(sys.executable), {}, 60.0, 60.0),
    )
    saved = []
    return asyncio.run(
        measure(
            plan,
            made_up(),
            save=saved.append,
            announce=lambda step: None,
            tick=lambda: None,
        )
    )


def test_two_states_of_one_repository(tmp_path):
    project = repository(tmp_path)
    with (
        opened(parse_side(f"{project}@v1"), "A", {}) as old,
        opened(parse_side(str(project)), "B", {"SETUP_MS": "1200"}) as new,
    ):
        outcome = judge(run(old, new, CompareMetric.READY), CompareMetric.READY, [])
    (a_s,), (b_s,) = outcome.a.values_s, outcome.b.values_s
    assert b_s >= 1.2
    assert a_s < b_s
    assert outcome.a.info.revision == git(tmp_path, "rev-parse", "v1")
    assert outcome.b.info.revision == git(tmp_path, "rev-parse", "HEAD") + "-dirty"
    assert outcome.b.info.env == {"SETUP_MS": "1200"}
    assert outcome.sentence == "Cannot tell: 1 processes per side are too few, each side needs 4."


def test_a_side_that_fails():
    side = parse_side(str(PLANTED))
    with opened(side, "A", {}) as old, opened(side, "B", {"FAIL_AFTER": "2"}) as new:
        outcome = judge(run(old, new, CompareMetric.STEADY, runs=2), CompareMetric.STEADY, [])
    assert outcome.failed
    assert len(outcome.b.failures) == 1
    assert "prediction failed: " in outcome.b.failures[0]
