"""scripts/measure/measure_engines.py with a tiny model and the two systems that need least."""

import subprocess
import sys

from pilotlight.bench.harness.documents import read_document
from pilotlight.bench.systems.results import ComparisonResult
from scripts.measure.measure_engines import NAMES, goals
from tests.models import tiny_model
from tests.paths import SCRIPTS

SCRIPT = SCRIPTS / "measure" / "measure_engines.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_it_measures_writes_and_shows_again(tmp_path):
    out = tmp_path / "engines.json"
    only = ["--only", "floor torch", "--only", "Cog alone"]
    model = tiny_model("llama", tmp_path)
    done = run("--quick", "--no-drop-cache", "--model", model, *only, "--out", out)
    assert done.returncode == 0, done.stderr
    result = read_document(ComparisonResult, out)
    assert result.finished
    assert {info.name for info in result.projects} == {"floor torch", "Cog alone"}
    assert all(len(result.measured(info.name)) == 1 for info in result.projects)
    assert str(tmp_path) not in out.read_text()
    assert "| exec to first token |" in done.stdout
    assert run("--show", "--out", out).stdout == done.stdout


def test_what_cannot_be_measured_is_refused():
    done = run("--only", "vLLM")
    assert done.returncode == 2
    assert "--only vLLM: choose of Cog alone, GenAI in-process" in done.stderr


def test_every_goal_is_about_two_that_are_measured():
    assert {name for goal in goals() for name in (goal.name, goal.against)} <= NAMES
