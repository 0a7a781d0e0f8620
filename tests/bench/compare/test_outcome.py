"""Verdicts on made-up results, and their words."""

import io
import json

import pytest
from rich.console import Console

from pilotlight.bench.compare.conditions import parse_condition
from pilotlight.bench.compare.metrics import CompareMetric
from pilotlight.bench.compare.outcome import judge
from pilotlight.bench.compare.render import compare_report
from pilotlight.bench.stats.intervals import Verdict
from tests.bench.cold import cold_results
from tests.bench.cold.cold_results import info
from tests.bench.warm import warm_results

SIDES = (info("A: old"), info("B: new", env={"FAST": "1"}))


def starts(name, wall_s, count=8, **changes):
    return [cold_results.start(name, number, wall_s * (1 + number / 100), **changes) for number in range(count)]


def cold(a_s, b_s, count=8, **changes):
    return cold_results.result(*starts("A: old", a_s, count), *starts("B: new", b_s, count, **changes), projects=SIDES)


def warm(a_levels, b_levels):
    processes = [*warm_results.many("A: old", *a_levels), *warm_results.many("B: new", *b_levels)]
    return warm_results.result(*processes, projects=SIDES)


def judged(result, *conditions, metric=CompareMetric.COLD):
    return judge(result, metric, [parse_condition(text) for text in conditions])


def shown(outcome):
    console = Console(file=io.StringIO(), width=200)
    console.print(compare_report(outcome))
    return console.file.getvalue()


def test_slower():
    outcome = judged(cold(2.0, 3.0), "slower:5%", "slower:60%")
    assert outcome.comparison.verdict is Verdict.SLOWER
    assert outcome.sentence.startswith("B is slower: it takes 1.500 times as long as A (95% interval 1.4")
    assert outcome.sentence.endswith("the medians are 2.07 s (A) and 3.1 s (B).")
    assert [holds for _, holds in outcome.conditions] == [True, False]
    assert outcome.failed
    text = shown(outcome)
    assert "B: new FAST=1" in text
    assert "2.07 s, median of 8; 95% interval 2.02 s to 2.12 s" in text
    assert "--fail-if slower:5%: holds" in text
    assert "--fail-if slower:60%: does not hold" in text


def test_faster_is_no_failure_unless_asked_for():
    outcome = judged(cold(3.0, 2.0), "slower")
    assert outcome.sentence.startswith("B is faster: it takes 0.667 times")
    assert not outcome.failed
    assert judged(cold(3.0, 2.0), "faster:20%").failed


def test_no_difference_to_be_seen():
    outcome = judged(cold(2.0, 2.0), "slower", "faster")
    assert outcome.sentence.startswith("Cannot tell: B takes 1.000 times as long as A, but the 95% interval 0.9")
    assert not outcome.failed
    assert judged(cold(2.0, 2.0), "cannot-tell").failed


def test_too_few():
    outcome = judged(cold(2.0, 3.0, count=3))
    assert outcome.sentence == "Cannot tell: 3 processes per side are too few, each side needs 4."


def test_a_side_that_failed():
    broken = cold_results.failure("B: new", "setup_failed", "[no weights]")
    outcome = judged(cold_results.result(*starts("A: old", 2.0), broken, projects=SIDES))
    assert outcome.sentence == "Cannot tell: B failed."
    assert outcome.failed
    assert "setup failed: [no weights]" in shown(outcome)


@pytest.mark.parametrize(("metric", "b_s"), [(CompareMetric.READY, "2.8"), (CompareMetric.FIRST_OUTPUT, "2.9")])
def test_other_times_of_a_start(metric, b_s):
    outcome = judged(cold(2.0, 3.0), metric=metric)
    assert outcome.b.values_s[0] == pytest.approx(float(b_s))
    assert metric.words in shown(outcome)


def test_a_project_without_output():
    outcome = judged(cold(2.0, 3.0, first_output_s=None), metric=CompareMetric.FIRST_OUTPUT)
    assert outcome.sentence == "Cannot tell: B gives no output."
    assert not outcome.failed


def test_steady_times_leave_the_warm_up_out():
    outcome = judged(warm([(20, 0.1), (40, 0.02)], [(60, 0.03)]), "slower:5%", metric=CompareMetric.STEADY)
    assert outcome.comparison.ratio.value == pytest.approx(1.5, rel=0.01)
    assert outcome.sentence.endswith("the medians are 20 ms (A) and 30 ms (B).")
    assert len(outcome.a.values_s) == 5
    assert outcome.failed


def test_a_side_that_never_settles():
    turns = [(14, 0.005 if number % 2 else 0.035) for number in range(5)]
    assert (
        judged(warm([(70, 0.02)], turns), metric=CompareMetric.STEADY).sentence
        == "Cannot tell: B reaches no steady state."
    )


def test_interrupted_before_anything_was_measured():
    outcome = judged(cold_results.result(projects=SIDES, finished=False))
    assert outcome.sentence == "Cannot tell: A was not started."
    assert "interrupted after 0 measured starts" in shown(outcome)


def test_the_document_has_the_verdict_and_every_value():
    outcome = judged(cold(2.0, 3.0), "slower:5%")
    document = json.loads(json.dumps(outcome.document()))
    assert (document["metric"], document["verdict"], document["failed"]) == ("cold", "slower", True)
    assert document["ratio"]["low"] < document["ratio"]["value"] < document["ratio"]["high"]
    assert document["fail_if"] == [{"condition": "slower:5%", "holds": True}]
    assert document["a"]["values_s"] == [2.0 * (1 + number / 100) for number in range(8)]
    assert (document["b"]["name"], document["b"]["env"]) == ("B: new", {"FAST": "1"})
    assert json.loads(json.dumps(judged(cold(2.0, 3.0, count=3)).document()))["ratio"] is None
