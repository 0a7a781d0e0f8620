"""``pilotlight predict`` as a process, with the real Cog server."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "predict", "--project"]


def predict(project, *args, **options):
    return subprocess.run(
        [*PROGRAM, str(PROJECTS / project), *args], capture_output=True, text=True, timeout=500, check=False, **options
    )


@contextlib.contextmanager
def running(project, *args, **options):
    """A prediction under way, killed at the end if it is still there."""
    process = subprocess.Popen(
        [*PROGRAM, str(PROJECTS / project), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(group):
    """Whether nothing of the process group runs any more; waits for it."""
    ps = ["ps", "-o", "stat=", "-g", str(group)]
    for _ in range(500):
        states = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.split()
        if all(state.startswith("Z") for state in states):
            return True
    return False


def test_text_on_stdout_and_logs_on_stderr():
    done = predict("run_text", "-i", "prompt=é😀", "-i", "count=2", "-e", "GREETING=hi", "-i", "mode=greeting")
    assert (done.returncode, done.stdout) == (0, "é😀0 é😀1 hi\n")
    assert done.stderr == "mode greeting\nto stderr\n"


def test_from_a_folder_inside_the_project_a_child_is_heard_and_variables_are_those_of_docker(tmp_path):
    (tmp_path / "cog.yaml").write_text('predict: "predict.py:Predictor"\nenvironment: ["CACHE=$HOME/.hf"]\n')
    lines = [
        "import os, subprocess",
        "from cog import BasePredictor",
        "class Predictor(BasePredictor):",
        "    def predict(self) -> str:",
        "        subprocess.run(['sh', '-c', 'echo ffmpeg: invalid data >&2'], check=False)",
        "        return os.environ['CACHE']",
    ]
    (tmp_path / "predict.py").write_text("\n".join(lines))
    (tmp_path / "notebooks").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        PROGRAM[:-1],
        cwd=tmp_path / "notebooks",
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/.hf\n"), done.stderr
    assert "ffmpeg: invalid data\n" in done.stderr


def test_text_appears_as_it_is_made():
    with running("run_text", "-i", "prompt=a", "-i", "count=2", "-i", "pause_s=60") as process:
        assert process.stdout.read(3) == "a0 "
        assert process.poll() is None


def test_what_the_image_would_not_do_is_said_in_one_line(tmp_path):
    (tmp_path / "cog.yaml").write_text("run: run.py:run\n")
    source = "from cog import Input\n\ndef run(s: str = Input(default=str('a'))) -> str:\n    return s\n"
    (tmp_path / "run.py").write_text(source)
    done = predict(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    warning, problem = done.stderr.splitlines()
    assert warning.startswith("Warning: run.py:3: default=str('a') is not read from source, so s is required; write")
    assert "s: " in problem


def test_json_in_and_out():
    done = predict("run_text", "--json", "@-", input='{"prompt": "a", "count": 1}')
    assert done.returncode == 0
    prediction = json.loads(done.stdout)
    assert prediction["status"] == "succeeded"
    assert prediction["output"] == ["a0 "]
    assert prediction["logs"] == "mode echo\nto stderr\n"
    assert prediction["error"] is None
    assert prediction["metrics"]["count"] == 1


def test_json_out_only():
    done = predict("run_text", "--json", "-i", "prompt=a", "-i", "mode=raise")
    assert done.returncode == 1
    prediction = json.loads(done.stdout)
    assert prediction["status"] == "failed"
    assert "boom" in prediction["error"]


def test_one_json_value_on_a_line_for_an_iterator():
    done = predict("run_lines", "-i", "numbers=1", "-i", "numbers=2", "-i", "label=é")
    assert (done.returncode, done.stdout) == (0, '{"é": 1}\n{"é": 2}\n')


def test_files_in_and_out(tmp_path):
    (tmp_path / "in.csv").write_bytes(b"a,b\n\xff")
    done = predict("run_files", "-i", "source=@in.csv", "-i", "copies=2", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Written output to: output.0.csv" in done.stderr
    for name in ("output.0.csv", "output.1.csv"):
        assert (tmp_path / name).read_bytes() == b"a,b\n\xff"


@pytest.mark.parametrize(
    ("project", "args", "status", "message"),
    [
        ("run_text", ["-i", "promt=a"], 2, "Error: promt: unknown input, did you mean 'prompt'"),
        ("run_text", [], 2, "Error: prompt: missing, and required; give it with -i prompt=..."),
        ("run_text", ["-i", "prompt=a", "-i", "count=-1"], 2, "Error: count: -1 is less than the minimum of 0"),
        ("run_text", ["-i", "prompt=a", "-i", "mode=raise"], 1, "RuntimeError: boom"),
        ("run_text", ["-i", "prompt=a", "-i", "mode=die"], 1, "died during prediction"),
        ("run_text", ["-i", "prompt=a", "-i", "pause_s=60", "--timeout", "0.3"], 1, "did not finish within 0.3 s"),
        ("run_text", ["-i", "prompt=a", "--setup-timeout", "0.001"], 1, "did not finish within 0.001 s"),
        ("run_broken", ["-i", "prompt=a"], 1, "looking for the weights\nError: setup of "),
    ],
)
def test_failures(project, args, status, message):
    done = predict(project, *args)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_an_interrupted_prediction_leaves_nothing_behind(number, status):
    with running("run_text", "-i", "prompt=", "-i", "mode=pid", "-i", "count=2", "-i", "pause_s=60") as process:
        assert process.stdout.read(1) == "0"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert ended(children[0])


def test_a_reader_that_leaves_gets_no_traceback():
    with running("run_text", "-i", "prompt=" + "a" * 1000, "-i", "count=100000") as process:
        process.stdout.read(1)
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(120) == 1
    assert "Traceback" not in errors


def test_a_terminal_sees_what_is_going_on():
    ours, theirs = pty.openpty()
    with running("run_text", "-i", "prompt=a", "-i", "count=1", env={**os.environ, "TERM": "xterm"}) as plain:
        plain.communicate(timeout=120)
    process = subprocess.Popen(
        [*PROGRAM, str(PROJECTS / "run_text"), "-i", "prompt=a", "-i", "count=1"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends on Linux
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.communicate(timeout=120)[0] == b"a0 \n"
    assert b"Setting up" in shown
    assert b"mode echo" in shown
