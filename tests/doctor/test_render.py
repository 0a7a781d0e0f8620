"""The page that a person reads, and the file that a program reads."""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from pilotlight.bench.harness.documents import Environment, ProjectInfo, read_document, write_document
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.doctor.diagnose import RULES, diagnose
from pilotlight.doctor.examine import Examination
from pilotlight.doctor.observe.run import Plan
from pilotlight.doctor.observed import NotStarted
from pilotlight.doctor.render import doctor_report
from pilotlight.doctor.results import DoctorResult, result_of
from pilotlight.errors import UsageError
from pilotlight.runtime import Project
from tests.doctor.cases import call, facts, runs
from tests.paths import PROJECTS

CLEAN = PROJECTS / "doctor_clean"
MACHINE = Environment(
    cpu_model="A processor",
    cores=2,
    memory_bytes=8 << 30,
    governor=None,
    load_1m=1.5,
    system="Linux",
    kernel="6.1",
    python="3.11.9",
    packages={"cog": "0.23.1"},
)


def result(given, ignore=()):
    plan = Plan(
        Project.load(CLEAN), lambda document: {}, (), StartOptions(Path(sys.executable), {}, 1, 1), announce=print
    )
    return result_of(Examination(given, diagnose(given, ignore), MACHINE), plan, ignore)


def shown(given, **more):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(doctor_report(result(given, **more)))
    return console.export_text()


BAD = facts(runs(1.5, 0.1, 0.1, 0.1), code={"records_metrics": False, "calls": (call("torch.load"),)}, sdk_version=None)


def test_the_worst_comes_first_with_its_evidence_and_its_change():
    text = shown(BAD)
    places = [
        text.index(words)
        for words in ("HIGH: callers notice it", "MEDIUM: callers notice it under load", "LOW: upkeep", "Passed")
    ]
    assert places == sorted(places)
    assert "No warm-up  no-warm-up (mistake 1, ran)" in text
    assert "start 1: first 1.50 s, then 100 ms" in text
    assert "change: Make one small prediction at the end of setup()" in text
    assert "predict.py:20: torch.load in a prediction" in text
    assert "number 1, 2, 7 of the ten common mistakes" in text


def test_what_passed_and_what_is_open_is_one_line_each():
    text = shown(facts())
    assert "✓ unpinned-packages   packages: 1; Python 3.11, Cog 0.23.1" in text
    assert "? slow-cold-start  needs a run" in text
    assert "nothing found; 4 could not be checked" in text
    assert "doctor_clean: read, not run" in text


def test_a_busy_machine_and_inputs_are_named():
    text = shown(facts(runs(0.1, 0.1, 0.1, 0.1, made_up=("text",)), busy=True))
    assert "the machine was busy (load 1.5 on 2 cores)" in text
    assert "inputs: text='a'; made up: text" in text
    assert text.rstrip().endswith("nothing found")


def test_a_project_that_does_not_start():
    text = shown(facts(NotStarted("setup failed: no weights", "looking for them")))
    assert "The project does not start  does-not-start (ran)" in text
    assert "setup failed: no weights" in text


def test_what_is_ignored_is_nowhere():
    assert "no-warm-up" not in shown(BAD, ignore={"no-warm-up"})
    assert result(BAD, ignore={"no-warm-up"}).settings.ignored == ("no-warm-up",)


def test_every_rule_comes_out_once():
    for given in (facts(), BAD, facts(NotStarted("no"))):
        one = result(given)
        ids = [item.id for group in (one.findings, one.passed, one.unclear) for item in group]
        assert sorted(ids) == sorted(rule.id for rule in RULES)


def test_the_rules_are_the_ten_and_more():
    assert {rule.mistake for rule in RULES} == {*range(1, 11), None}
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_the_file_holds_the_raw_values_and_is_read_back(tmp_path):
    one = result(BAD)
    path = tmp_path / "doctor.json"
    write_document(one, path)
    assert read_document(DoctorResult, path) == one
    content = json.loads(path.read_text())
    assert (content["format"], content["format_version"]) == ("pilotlight doctor", 1)
    assert content["measured"]["starts"][0]["predictions_s"] == pytest.approx([1.5, 0.1, 0.1, 0.1])
    assert content["findings"][0]["severity"] == "high"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(UsageError, match="not a pilotlight doctor of version 1"):
        read_document(DoctorResult, path)


def test_the_document_says_what_was_asked_for():
    one = result(facts(budget_s=2.0, rate=3.0))
    assert (one.settings.ran, one.settings.budget_s, one.settings.rate) == (False, 2.0, 3.0)
    assert one.measured is None
    assert one.created_at <= datetime.now(UTC)
    assert isinstance(one.projects[0], ProjectInfo)
