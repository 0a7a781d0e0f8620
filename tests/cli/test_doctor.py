"""``pilotlight doctor`` as a process."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "doctor"]


def doctor(*args):
    environ = {**os.environ, "COLUMNS": "110"}
    return subprocess.run(
        [*PROGRAM, *map(str, args)], env=environ, capture_output=True, text=True, timeout=500, check=False
    )


def test_findings_on_stdout_progress_on_stderr_and_status_1():
    done = doctor(PROJECTS / "doctor_trusts_input")
    assert done.returncode == 1
    assert "Inputs are not validated  unvalidated-inputs (mistake 6, ran)" in done.stdout
    assert "month=1000000: fails with IndexError" in done.stdout
    assert 'steps: int = Input(description="...", ge=1, le=100)' in done.stdout
    assert "✓ unpinned-packages" in done.stdout
    steps = done.stderr.splitlines()
    assert steps[0] == "doctor_trusts_input: reading the project"
    assert steps[-1] == "doctor_trusts_input: sending invalid and extreme inputs"


def test_what_is_ignored_does_not_count_and_json_is_versioned():
    done = doctor(PROJECTS / "doctor_unpinned", "--no-run", "--ignore", "unpinned-packages", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["format"], result["format_version"]) == ("pilotlight doctor", 1)
    assert result["findings"] == []
    assert result["settings"]["ignored"] == ["unpinned-packages"]
    assert doctor(PROJECTS / "doctor_unpinned", "--no-run").returncode == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--ignore", "no-metric"], "--ignore 'no-metric': no check has that id; did you mean no-metrics?"),
        (["--ignore", "zzz"], "no check has that id; the ids are "),
        (["--budget", "soon"], "--budget 'soon': give a time above 0, such as 10s or 800ms"),
        (["--budget", "0s"], "give a time above 0"),
        (["-i", "txt=a"], "txt: unknown input, did you mean 'text'?"),
        (["--rate", "0"], "Invalid value for '--rate'"),
    ],
)
def test_a_users_mistake_is_one_message_and_status_2(args, message):
    done = doctor(PROJECTS / "doctor_clean", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_no_project(tmp_path):
    done = doctor(tmp_path)
    assert done.returncode == 2
    assert "there is no cog.yaml" in done.stderr


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


def test_interrupted_it_leaves_no_process():
    mark = f"mark-{secrets.token_hex(8)}"
    process = subprocess.Popen(
        [*PROGRAM, str(PROJECTS / "cold_hangs"), "-e", f"MARK={mark}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        while "starting the project" not in process.stderr.readline():
            assert process.poll() is None
        tick = threading.Event()
        assert any(marked(mark) or tick.wait(0.05) for _ in range(2400))
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted." in rest[1]
    assert any(not marked(mark) or tick.wait(0.05) for _ in range(2400))
