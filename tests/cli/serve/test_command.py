"""``pilotlight serve`` as a process."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import httpx2
import pytest

from pilotlight.cli import run
from tests.paths import PROJECTS

PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "serve", "--project"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Serving:
    """The process, its output and its URL."""

    def __init__(self, project, *args, port):
        self.url = f"http://127.0.0.1:{port}"
        self.lines = []
        self.process = subprocess.Popen(
            [*PROGRAM, str(PROJECTS / project), *args],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PORT": str(port)},
        )

    def read_until(self, words):
        for line in self.process.stderr:
            self.lines.append(line)
            if words in line:
                return
        raise AssertionError(f"{words!r} never came: {''.join(self.lines)}")

    def predict(self, **inputs):
        return httpx2.post(f"{self.url}/predictions", json={"input": inputs}, timeout=120, trust_env=False).json()

    def end(self):
        """Its exit status, after all it has to say."""
        self.lines += self.process.stderr.readlines()
        return self.process.wait(120)


@contextlib.contextmanager
def serving(project, *args):
    server = Serving(project, *args, port=free_port())
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stderr.close()


@contextlib.contextmanager
def in_background(function, **inputs):
    """The list that the answer is put into, or an error."""
    answers = []

    def run():
        try:
            answers.append(function(**inputs))
        except httpx2.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        thread.join(120)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serves_until_it_is_told_to_stop_and_lets_a_prediction_end(number, status):
    with serving("run_text") as server:
        server.read_until("Try: curl")
        assert any(f"Serving {PROJECTS / 'run_text'} at {server.url}" in line for line in server.lines)
        example = json.loads(server.lines[-1].rpartition("-d '")[2].rstrip("'\n"))
        assert list(example["input"]) == ["prompt"]
        assert server.predict(prompt="a", count=1)["output"] == ["a0 "]
        with in_background(server.predict, prompt="a", count=2, pause_s=0.3, mode="greeting") as answers:
            server.read_until("mode greeting")
            server.process.send_signal(number)
            assert server.end() == status
    assert answers[0]["status"] == "succeeded"
    assert not any("Traceback" in line for line in server.lines)


@pytest.mark.parametrize("again", [True, False])
def test_the_grace_ends_by_itself_or_at_a_second_signal(again):
    with serving("run_text", "--grace", "60" if again else "0.2") as server:
        server.read_until("Try: curl")
        with in_background(server.predict, prompt="a", count=1, pause_s=60, mode="greeting") as answers:
            server.read_until("mode greeting")
            server.process.terminate()
            server.read_until("Stopping")
            if again:
                server.process.terminate()
            assert server.end() == 0
    assert isinstance(answers[0], httpx2.TransportError)


def test_a_setup_that_fails_ends_it_with_its_logs():
    with serving("run_broken") as server:
        assert server.end() == 1
    output = "".join(server.lines)
    assert output.count("looking for the weights") == 1
    assert "Error: setup of" in output
    assert "Traceback" not in output


def test_a_crash_ends_it():
    with serving("run_text") as server:
        server.read_until("Try: curl")
        assert server.predict(prompt="a", count=1, mode="die")["status"] == "failed"
        assert server.end() == 1
    assert server.lines[-1].startswith("Error: the Python process of the Cog server is gone")


@pytest.mark.parametrize("args", [(), ("--on", "sagemaker")], ids=["cog", "sagemaker"])
def test_a_port_that_is_taken_is_refused_at_once(args):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Serving("run_text", *args, "--port", str(port), port=port)
        assert server.end() == 2
        server.process.stderr.close()
    assert "choose another --port" in server.lines[0]


def test_a_runpod_worker_has_no_port(capsys):
    assert run(["serve", "--project", str(PROJECTS / "run_text"), "--on", "runpod", "--port", "8511"]) == 2
    assert "--port: a RunPod worker listens on no port" in capsys.readouterr().err


def test_interrupted_during_setup():
    with serving("run_text", "-e", "RUST_LOG=info") as server:
        server.process.stderr.readline()  # the server is coming up
        server.process.send_signal(signal.SIGINT)
        assert server.end() == 130
