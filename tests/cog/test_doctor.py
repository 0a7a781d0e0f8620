"""The doctor on real Cog servers: each fixture project has one mistake, and that one is found."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from pilotlight.bench.harness.targets import StartOptions
from pilotlight.doctor.examine import DEFAULT_BUDGET_S, examine
from pilotlight.doctor.observe.run import Plan
from pilotlight.errors import InputError, UsageError
from pilotlight.runtime import Project
from tests.inputs import made_up
from tests.paths import PROJECTS, ROOT

MISTAKES = {
    "doctor_no_warm_up": (1, "no-warm-up", "ran"),
    "doctor_loads_per_request": (2, "loads-per-request", "ran"),
    "doctor_ready_too_early": (3, "dishonest-health", "ran"),
    "doctor_one_at_a_time": (4, "one-at-a-time", "ran"),
    "doctor_blocks_loop": (5, "blocked-event-loop", "ran"),
    "doctor_trusts_input": (6, "unvalidated-inputs", "ran"),
    "doctor_unpinned": (7, "unpinned-packages", "read"),
    "doctor_slow_start": (8, "slow-cold-start", "ran"),
    "doctor_no_metrics": (9, "no-metrics", "ran"),
    "doctor_too_many_slots": (10, "too-many-slots", "ran"),
}
CLEAN = ("doctor_clean", "doctor_clean_concurrent")
# Two cores: more at once would measure each other.
AT_ONCE = 3


def plan(root, given=None, python=None, announce=lambda step: None, setup_timeout_s=120):
    given = given or {}
    return Plan(
        project=Project.load(root),
        inputs_for=made_up(**given),
        given=frozenset(given),
        options=StartOptions(Path(python or sys.executable).absolute(), {}, setup_timeout_s, 60.0),
        announce=announce,
    )


def found(examination):
    return [(one.mistake, one.id, one.how) for one in examination.diagnosis.findings]


@pytest.fixture(scope="module")
def examined():
    """Every fixture project, by name."""

    async def all_of_them():
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name):
            expected = [MISTAKES[name]] if name in MISTAKES else []
            async with slots:
                budget_s = 1.0 if name == "doctor_slow_start" else 5 * DEFAULT_BUDGET_S
                for _ in range(3):  # what is judged by times cannot be told while others take the processor
                    examination = await examine(plan(PROJECTS / name), budget_s=budget_s)
                    if found(examination) == expected:
                        break
                return name, examination

        return dict(await asyncio.gather(*(one(name) for name in (*MISTAKES, *CLEAN))))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("name", MISTAKES)
def test_the_one_mistake_is_found_and_no_other(examined, name):
    assert found(examined[name]) == [MISTAKES[name]]
    (finding,) = examined[name].diagnosis.findings
    assert all(finding.evidence)
    assert finding.why
    assert finding.change
    assert finding.code


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_found_where_nothing_is_wrong(examined, name):
    assert found(examined[name]) == []
    # All that is not there to be checked is said to be well, not left open.
    assert [(rule.id, one.why) for rule, one in examined[name].diagnosis.unclear] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("doctor_loads_per_request", "doctor_loads_per_request/model.safetensors was opened in each of"),
        ("doctor_ready_too_early", "RuntimeError: the model is not loaded yet"),
        ("doctor_blocks_loop", "predict.py:11: time.sleep in an async def"),
        ("doctor_trusts_input", "month=1000000: fails with IndexError: tuple index out of range"),
        ("doctor_unpinned", "requirements.txt:3: requests"),
        ("doctor_no_metrics", "predict.py:7"),
    ],
)
def test_the_evidence_names_place_and_number(examined, name, words):
    (finding,) = examined[name].diagnosis.findings
    assert any(words in line for line in finding.evidence)


def test_a_project_that_only_looked_slow_is_started_again(examined):
    assert len(examined["doctor_slow_start"].facts.ran.starts) == 2
    assert len(examined["doctor_clean"].facts.ran.starts) == 1


def test_our_own_project_has_nothing_wrong():
    examination = asyncio.run(
        examine(plan(ROOT, {"prompt": "def main(args):", "max_tokens": 8}), budget_s=5 * DEFAULT_BUDGET_S)
    )
    assert [(one.id, one.evidence) for one in examination.diagnosis.findings] == []
    assert examination.facts.ran.steady


def test_it_does_not_start():
    examination = asyncio.run(examine(plan(PROJECTS / "run_broken")))
    worst = examination.diagnosis.findings[0]
    assert (worst.id, worst.severity) == ("does-not-start", "high")
    assert "is not there" in worst.evidence[0]
    # What reading finds is found all the same, and the rest is said to be open.
    assert "no-metrics" in [one.id for one in examination.diagnosis.findings]
    assert {"no-warm-up", "slow-cold-start"} <= {rule.id for rule, _ in examination.diagnosis.unclear}


def test_a_module_that_is_missing_here_says_nothing_about_the_project(tmp_path):
    project = copied("doctor_clean", tmp_path)
    source = project / "predict.py"
    source.write_text(f"import a_module_that_nobody_has\n{source.read_text()}")
    examination = asyncio.run(examine(plan(project)))
    assert found(examination) == []
    why = {rule.id: one.why for rule, one in examination.diagnosis.unclear}
    assert "No module named 'a_module_that_nobody_has'" in why["does-not-start"]
    assert "--python" in why["does-not-start"]


def test_reading_only_runs_nothing(tmp_path):
    project = copied("doctor_clean", tmp_path)
    source = project / "predict.py"
    source.write_text(f'raise SystemExit("it was run")\n{source.read_text()}')
    examination = asyncio.run(examine(plan(project), run=False))
    assert found(examination) == []
    assert examination.facts.ran is None
    assert not (project / ".cog").exists()


def test_an_input_that_cannot_be_made_up_leaves_open_what_needs_it():
    examination = asyncio.run(examine(plan(PROJECTS / "run_files")))
    why = {rule.id: one.why for rule, one in examination.diagnosis.unclear}
    assert "cannot be made up; give it with -i" in why["no-warm-up"]
    assert "does-not-start" not in why


def test_an_input_that_was_given_and_is_wrong_is_the_callers_mistake():
    with pytest.raises(InputError, match="text"):
        asyncio.run(examine(plan(PROJECTS / "doctor_clean", {"text": 7})))


def test_a_python_without_cog_is_the_callers_mistake(tmp_path):
    bare = tmp_path / "venv"
    (bare / "bin").mkdir(parents=True)
    (bare / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (bare / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    with pytest.raises(UsageError, match="has no cog"):
        asyncio.run(examine(plan(PROJECTS / "doctor_clean", python=bare / "bin" / "python")))


def test_a_worker_that_dies_of_an_input_is_reported(tmp_path):
    project = copied("doctor_trusts_input", tmp_path)
    source = (
        (project / "predict.py")
        .read_text()
        .replace("return MONTHS[month - 1]", "if month > 9: os._exit(3)\n" + " " * 8 + 'return ""')
    )
    (project / "predict.py").write_text(f"import os\n{source}")
    examination = asyncio.run(examine(plan(project)))
    (finding,) = examination.diagnosis.findings
    assert (finding.id, finding.severity) == ("unvalidated-inputs", "high")
    assert "month=1000000: the worker died" in finding.evidence[0]


def copied(name, folder):
    """A fixture project, to be changed."""
    target = folder / name
    shutil.copytree(PROJECTS / name, target, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
    return target


def test_the_fixture_weights_are_what_they_are_named():
    data = (PROJECTS / "doctor_loads_per_request" / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + length])["words"]["data_offsets"] == [0, len(data) - 8 - length]
