"""``pilotlight bench compare`` as a process."""

import json
import secrets
import subprocess
import sys

import pytest

from pilotlight.bench.cold.results import ColdResult
from pilotlight.bench.harness.documents import read_document
from pilotlight.cli import run
from tests.bench.compare.repository import PLANTED, git, repository
from tests.cli.bench.test_cold import all_end
from tests.cli.bench.test_warm import interrupt

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "bench", "compare"]
# 4 of each show a difference, 30 predictions a steady state.
STEADY = ["--metric", "steady", "-n", "4", "--iterations", "30"]


def compare(folder, *args):
    return subprocess.run(
        [*PROGRAM, *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=500, check=False
    )


def test_a_planted_slowdown_is_shown_and_fails(tmp_path):
    # Starts that take six seconds longer: more than a busy machine adds to any of them.
    delays = ["--env-a", "SETUP_MS=0", "--env-b", "SETUP_MS=6000"]
    ready = ["--metric", "ready", "-n", "4"]
    done = compare(tmp_path, PLANTED, PLANTED, *ready, *delays, "--fail-if", "slower:5%", "--json", "--out", "all.json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "slower"
    assert 1.05 < found["ratio"]["low"] <= found["ratio"]["value"] <= found["ratio"]["high"]
    assert found["fail_if"] == [{"condition": "slower:5%", "holds": True}]
    assert (found["a"]["env"], found["b"]["env"]) == ({"SETUP_MS": "0"}, {"SETUP_MS": "6000"})
    result = read_document(ColdResult, tmp_path / "all.json")
    assert found["b"]["values_s"] == [process.ready_s for process in result.measured("B: warm_planted")]
    assert done.stderr.splitlines()[-1] == "Written to: all.json"


def test_a_against_a_does_not_fail(tmp_path):
    done = compare(tmp_path, PLANTED, PLANTED, *STEADY, "-e", "LEVELS=1x15", "--fail-if", "slower:300%")
    assert done.returncode == 0
    assert "--fail-if slower:300%: does not hold" in done.stdout
    assert "prediction in the steady state" in done.stdout


def test_interrupted_it_leaves_no_process_and_no_checkout(tmp_path, monkeypatch):
    project = repository(tmp_path / "repository")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    mark = f"mark-{secrets.token_hex(8)}"
    program = [*PROGRAM, f"{project}@v1", f"{project}@HEAD", "--out", "cold.json"]
    status, stdout, rest = interrupt(program, tmp_path, "process 1 of 10", mark)
    assert status == 130
    assert "Cannot tell: A was not started." in stdout
    assert rest == ["The processes so far are in cold.json", "Interrupted."]
    assert all_end(mark)
    assert list(temporary.iterdir()) == []
    assert git(project, "status", "--porcelain", "--", "cog.yaml") == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([PLANTED], "Missing argument 'B'"),
        (["nowhere", PLANTED], "nowhere: there is no such folder; give a project's folder, or FOLDER@REVISION"),
        ([PLANTED, f"{PLANTED}@no-such-revision"], "no-such-revision is unknown there"),
        ([PLANTED, PLANTED, "--fail-if", "slow"], "--fail-if 'slow': give slower, slower:5%"),
        ([PLANTED, PLANTED, "-n", "3", "--fail-if", "slower"], "too few to show any difference; give -n 4 or more"),
        ([PLANTED, PLANTED, "--metric", "steady", "--page-cache", "dropped"], "state reads nothing from the disk"),
        ([PLANTED, PLANTED, "--env-b", "A"], "--env-b 'A': give it as NAME=VALUE"),
    ],
)
def test_mistakes_end_it_with_one_message(tmp_path, capsys, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "compare", *map(str, args)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
