"""``pilotlight gateway`` as a command."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

import httpx2
import pytest

from tests.cog.gateway_process import gateway_process, wait_until
from tests.paths import PROJECTS


def gateway(capsys, *args):
    from pilotlight.cli import run

    status = run(["gateway", *args])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--host", "0.0.0.0"], "give a --token"),
        (["--host", "no such host"], "give an address of this machine"),
        (["nowhere"], "nowhere is not a folder"),
        (["--min-workers", "2"], "a minimum of 2 and a maximum of 1 workers contradict"),
        (["--port", "70000"], "70000"),
        (["--max-body", "x"], "'x' is not a size"),
        (["--rate-limit", "often"], "'often' is not a rate"),
        (["--allow-network", "10.0.0.1/8"], "'10.0.0.1/8' is not a network"),
        (["--keep", "long"], "'long' is not a duration"),
        (["--keep", "0s"], "keeps nothing"),
    ],
)
def test_what_cannot_work_is_one_message(capsys, tmp_path, args, words):
    status, said = gateway(capsys, "--home", str(tmp_path), "--port", "0", *args)
    assert status == 2
    assert words in said
    assert "Traceback" not in said


def test_the_same_name_twice_and_a_home_in_use_are_refused(capsys, tmp_path):
    project = str(PROJECTS / "run_text")
    status, said = gateway(capsys, "--home", str(tmp_path), "--port", "0", project, project)
    assert (status, "would both be local/run_text" in said) == (2, True)
    with gateway_process(tmp_path, "run_text"):
        status, said = gateway(capsys, "--home", str(tmp_path), "--port", "0", project)
    assert (status, "another gateway runs with" in said) == (2, True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serves_until_it_is_told_to_stop_and_lets_a_prediction_end(tmp_path, number, status):
    with gateway_process(tmp_path, "run_text", args=["--min-workers", "1", "--token", "t"]) as process:
        headers = {"Authorization": "Bearer t"}
        answers = []

        def predict():
            body = {"input": {"prompt": "a", "count": 2, "pause_s": 0.5}}
            answers.append(httpx2.post(f"{process.url}/predict", json=body, headers=headers, timeout=120).json())

        def running():
            text = httpx2.get(f"{process.url}/metrics", headers=headers, timeout=120).text
            lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running{")]
            return any(line.endswith(" 1.0") for line in lines)

        thread = threading.Thread(target=predict)
        thread.start()
        wait_until(running)
        process.process.send_signal(number)
        assert process.end() == status
        thread.join(120)
        assert answers[0]["output"] == ["a0 ", "a1 "]
        assert "Stopping.\n" in process.lines
        assert not [line for line in process.lines if "Traceback" in line]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_a_project_is_imported_ends_it_at_once(tmp_path, number, status):
    project, reached = tmp_path / "slow", tmp_path / "reached"
    shutil.copytree(PROJECTS / "run_text", project, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
    predictor = project / "predict.py"
    wait = f"import pathlib, time; pathlib.Path({str(reached)!r}).touch(); time.sleep(3600)"
    # Cog's build tool refuses such choices, so that the project is imported for its schema.
    text = predictor.read_text().replace('Input(default="echo")', 'Input(default="echo", choices=list({"echo": 1}))')
    predictor.write_text(f"{wait}\n{text}")
    command = [sys.executable, "-m", "pilotlight", "gateway", project, "--home", tmp_path / "home", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(reached.exists)
        process.send_signal(number)
        assert process.wait(120) == status
    finally:
        with contextlib.suppress(ProcessLookupError):  # as it should be: the import ended with the command
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_second_signal_cuts_the_end_short(tmp_path):
    with gateway_process(tmp_path, "run_text") as process:
        client = process.client()
        prediction = client.predictions.create(
            client.models.get("local/run_text").latest_version, {"prompt": "a", "pause_s": 60}
        )
        wait_until(lambda: prediction.reload() or prediction.status == "processing")
        process.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Stopping.\n" in process.lines)
        process.process.send_signal(signal.SIGTERM)
        assert process.end() == 0
    with gateway_process(tmp_path, "run_text") as process:
        found = process.client().predictions.get(prediction.id)
        assert found.status == "failed"
        assert "stopping" in found.error


def test_a_project_that_changes_under_it_is_told(tmp_path):
    project = tmp_path / "changing"
    shutil.copytree(PROJECTS / "run_text", project, ignore=shutil.ignore_patterns(".cog", "__pycache__"))
    with gateway_process(tmp_path / "home", project) as process:
        predictor = project / "predict.py"
        predictor.write_text(predictor.read_text().replace('f"{prompt}{index} "', '"new "'))
        assert process.client().run("local/changing", input={"prompt": "a", "count": 1}) == ["new "]
    assert [line for line in process.lines if "has changed since the gateway was started" in line]
