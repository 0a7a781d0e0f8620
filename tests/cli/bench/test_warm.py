"""``pilotlight bench warm`` as a process."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading

import pytest

from pilotlight.bench.harness.documents import read_document
from pilotlight.bench.warm.results import WarmResult
from pilotlight.cli import run
from tests.cli.bench.test_cold import all_end
from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "bench", "warm"]
PLANTED = PROJECTS / "warm_planted"


def bench(folder, *args):
    environ = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [*PROGRAM, *map(str, args)], cwd=folder, env=environ, capture_output=True, text=True, timeout=500, check=False
    )


def test_a_report_on_stdout_progress_on_stderr_and_a_file(tmp_path):
    done = bench(tmp_path, PLANTED, PROJECTS / "run_broken", "-p", "1", "-n", "30", "-e", "LEVELS=12x60,1000x5")
    assert done.returncode == 1
    # What is seen in the times is up to the machine; tests/bench/warm has planted ones.
    assert re.search(r"^   1 █", done.stdout, re.MULTILINE)
    assert re.search(r"run_broken\n  setup failed: setup of", done.stdout)
    *processes, written = done.stderr.splitlines()
    assert processes[:2] == ["warm_planted: process not measured", "run_broken: process not measured"]
    assert processes[2:] == ["warm_planted: process 1 of 1"]
    path = tmp_path / re.fullmatch(r"Written to: (bench-warm-\d{8}-\d{6}\.json)", written).group(1)
    result = read_document(WarmResult, path)
    assert result.finished
    assert result.projects[0].env == {"LEVELS": "12x60,1000x5"}
    (process,) = result.measured("warm_planted")
    assert len(process.times_s) == 30


def test_json_and_inputs(tmp_path):
    out = tmp_path / "warm.json"
    done = bench(tmp_path, PLANTED, "-p", "1", "-n", "30", "-i", "word=c", "--seed", "5", "--json", "--out", out)
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads(out.read_text())
    result = read_document(WarmResult, out)
    assert result.projects[0].inputs == {"word": "c"}
    assert result.settings.seed == 5


def interrupt(program, folder, line_seen, mark):
    """Runs a program until it says that, interrupts it, and returns its status, stdout and the rest of its stderr."""
    process = subprocess.Popen(
        [*map(str, program), "-e", f"MARK={mark}"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(240, process.kill)
    guard.start()
    try:
        for line in process.stderr:
            if line_seen in line:
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
    return process.returncode, stdout, [line for line in stderr.splitlines() if line]


def test_interrupted_it_leaves_a_file_to_read_and_no_process(tmp_path):
    mark = f"mark-{secrets.token_hex(8)}"
    program = [*PROGRAM, PLANTED, "-n", "30", "--out", "warm.json"]
    status, stdout, rest = interrupt(program, tmp_path, "process 2 of 5", mark)
    assert status == 130
    assert "interrupted after 1 measured processes" in stdout
    assert rest == ["The processes so far are in warm.json", "Interrupted."]
    result = read_document(WarmResult, tmp_path / "warm.json")
    assert not result.finished
    assert len(result.measured("warm_planted")) == 1
    assert all_end(mark)
    assert [path.name for path in tmp_path.iterdir()] == ["warm.json"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere is not a folder; give the folder that holds cog.yaml"),
        ([PLANTED, "-n", "29"], "29 is not in the range x>=30"),
        ([PLANTED, "-e", "A"], "-e 'A': give it as NAME=VALUE"),
        ([PLANTED, "-i", "wrd=1"], "wrd: unknown input, did you mean 'word'"),
    ],
)
def test_mistakes_end_it_with_one_message(tmp_path, capsys, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "warm", *map(str, args)]) == 2
    assert message in capsys.readouterr().err
