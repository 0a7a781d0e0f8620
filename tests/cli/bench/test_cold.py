"""``pilotlight bench cold`` as a process."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pilotlight.bench.cold.results import ColdResult
from pilotlight.bench.harness.documents import read_document
from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "bench", "cold"]


def bench(folder, *args):
    environ = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [*PROGRAM, *map(str, args)], cwd=folder, env=environ, capture_output=True, text=True, timeout=500, check=False
    )


def marked(mark):
    """The processes that were given this variable's value, and still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def all_end(mark):
    """Whether they have all ended, within the moment that the kernel takes for it."""
    tick = threading.Event()
    return any(not marked(mark) or tick.wait(0.05) for _ in range(2400))


def test_tables_on_stdout_progress_on_stderr_and_a_file(tmp_path):
    done = bench(tmp_path, PROJECTS / "run_lines", PROJECTS / "cold_sleeps", "-n", "2", "--seed", "5", "-e", "A=b")
    assert done.returncode == 0
    assert re.search(
        r"run_lines\n  \d\.\d{3} s cold start, median of 2; needs at least 6 runs for an interval \(have 2\)",
        done.stdout,
    )
    for stage in ("spawn", "interpreter", "imports", "setup", "ready", "first_prediction", "other"):
        assert len(re.findall(rf"^  {stage} +\d+\.\d{{3}} s +\d+%", done.stdout, re.MULTILINE)) == 2
    assert re.search(r"slow_module \d\.\d{3} s", done.stdout)
    assert "cold_sleeps compared with run_lines: needs at least" in done.stdout
    *starts, written = done.stderr.splitlines()
    assert starts[:2] == ["run_lines: start not measured", "cold_sleeps: start not measured"]
    assert sorted(starts[2:4]) == ["cold_sleeps: start 1 of 2", "run_lines: start 1 of 2"]
    path = tmp_path / re.fullmatch(r"Written to: (bench-cold-\d{8}-\d{6}\.json)", written).group(1)
    result = read_document(ColdResult, path)
    assert result.finished
    assert result.settings.seed == 5
    assert result.projects[0].env == {"A": "b"}
    for process in result.measured("cold_sleeps"):
        assert sum(one.charged_s for one in process.stages) == pytest.approx(process.wall_s, rel=0.02)


def test_json_and_inputs(tmp_path):
    out = tmp_path / "cold.json"
    done = bench(tmp_path, PROJECTS / "cold_sleeps", "-n", "1", "-i", "times=1", "--json", "--out", out)
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads(out.read_text())
    assert read_document(ColdResult, out).projects[0].inputs == {"word": "Hello", "times": 1}


def test_setups_that_hang_or_fail_are_reported_and_the_others_go_on(tmp_path):
    projects = [PROJECTS / name for name in ("cold_hangs", "run_broken", "run_lines")]
    done = bench(tmp_path, *projects, "-n", "1", "--setup-timeout", "6", "--out", "cold.json")
    assert done.returncode == 1
    assert "timed out: setup of" in done.stdout
    assert "waiting for a license server" in done.stdout
    assert "setup failed: setup of" in done.stdout
    assert re.search(r"run_lines\n  \d", done.stdout)
    assert "Traceback" not in done.stderr
    assert len(read_document(ColdResult, tmp_path / "cold.json").measured("run_lines")) == 1


def test_a_memory_limit_and_caches_that_are_absent(tmp_path):
    projects = [PROJECTS / name for name in ("cold_eats", "run_lines")]
    conditions = ["--memory-limit", "250MB", "--compile-cache", "absent", "--bytecode", "absent"]
    done = bench(tmp_path, *projects, "-n", "1", *conditions, "--out", "cold.json")
    assert done.returncode == 1
    assert "out of memory: " in done.stdout
    assert "allow more with --memory-limit, or load less" in " ".join(done.stdout.split())
    result = read_document(ColdResult, tmp_path / "cold.json")
    assert result.settings.memory_limit_bytes == 250_000_000
    assert (result.settings.compile_cache, result.settings.bytecode) == ("absent", "absent")
    assert len(result.measured("run_lines")) == 1


def test_interrupted_it_leaves_a_file_to_read_and_no_process(tmp_path):
    mark = f"mark-{secrets.token_hex(8)}"
    process = subprocess.Popen(
        [*PROGRAM, str(PROJECTS / "cold_sleeps"), "-n", "50", "--out", "cold.json", "-e", f"MARK={mark}"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(240, process.kill)
    guard.start()
    try:
        for line in process.stderr:
            if "start 2 of 50" in line:
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "interrupted after 1 measured starts" in stdout
    assert [line for line in stderr.splitlines() if line] == ["The starts so far are in cold.json", "Interrupted."]
    result = read_document(ColdResult, tmp_path / "cold.json")
    assert not result.finished
    assert len(result.measured("cold_sleeps")) == 1
    assert all_end(mark)
    assert [path.name for path in tmp_path.iterdir()] == ["cold.json"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere is not a folder; give the folder that holds cog.yaml"),
        ([PROJECTS / "run_lines", "-n", "0"], "0 is not in the range x>=1"),
        (
            [PROJECTS / "run_lines", "--memory-limit", "much"],
            "'much' is not a size: give a number and a unit, such as 8GiB",
        ),
        ([PROJECTS / "run_lines", "--bytecode", "absent", "-e", "PYTHONPYCACHEPREFIX=x"], "leave out one of the two"),
        ([PROJECTS / "run_lines", "-e", "A"], "give it as NAME=VALUE"),
        ([PROJECTS / "run_lines", "-i", "nmbers=1"], "nmbers: unknown input, did you mean 'numbers'"),
        ([PROJECTS / "run_lines", "-i", "numbers=x"], "numbers: 'x' is not"),
        ([PROJECTS / "run_lines", "--out", "no/cold.json"], "there is no folder no; create it or choose another"),
    ],
)
def test_mistakes_end_it_with_one_message(tmp_path, args, message):
    done = bench(tmp_path, *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
