"""``pilotlight bench load`` as a process."""

import asyncio
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
from pilotlight.bench.load.results import LoadResult
from pilotlight.cli import run
from pilotlight.runtime import Project, Worker
from tests.cli.bench.test_cold import all_end
from tests.paths import PROJECTS

TINY = PROJECTS / "load_tiny"
PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "bench", "load"]


def bench(folder, *args):
    environ = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [*PROGRAM, *map(str, args)], cwd=folder, env=environ, capture_output=True, text=True, timeout=500, check=False
    )


def test_clients_step_by_step(tmp_path):
    done = bench(tmp_path, TINY, "--clients", "1,3", "--requests", "20", "--objective", "5s", "-e", "A=b")
    assert done.returncode == 0, done.stderr
    assert "load on load_tiny: plain predictions, closed loop" in done.stdout
    assert len(re.findall(r"^(?:1 client |3 clients) .*$", done.stdout, re.MULTILINE)) >= 6
    assert "100.0%" in done.stdout
    *lines, written = done.stderr.splitlines()
    assert lines == ["starting the worker", "warming up: 3 predictions", "1 client", "3 clients"]
    path = tmp_path / re.fullmatch(r"Written to: (bench-load-\d{8}-\d{6}\.json)", written).group(1)
    result = read_document(LoadResult, path)
    assert result.finished
    assert (result.settings.clients, result.settings.loop, result.settings.requests) == ((1, 3), "closed", 20)
    assert (result.settings.duration_s, result.projects[0].env) == (None, {"A": "b"})
    assert [len(step.requests) for step in result.steps] == [20, 20]


def test_a_trace_played_faster_and_json(tmp_path):
    stamps = ["2023-11-16 18:17:03.5000000", "2023-11-16 18:17:05.5000000", "2023-11-16 18:17:08.5000000"]
    (tmp_path / "trace.csv").write_text("\n".join(["TIMESTAMP,ContextTokens", *(f"{one},5" for one in stamps), ""]))
    args = (
        "--trace",
        "trace.csv",
        "--trace-scale",
        "10",
        "--mode",
        "stream",
        "--objective",
        "ttft:9s",
        "-i",
        "words=2",
    )
    done = bench(tmp_path, PROJECTS / "load_streams", *args, "--json", "--out", "load.json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "load.json").read_text())
    result = read_document(LoadResult, tmp_path / "load.json")
    assert (result.settings.trace, result.settings.trace_scale, result.settings.arrivals) == (
        "trace.csv",
        10.0,
        "trace",
    )
    (step,) = result.steps
    assert step.requests.intended_s == pytest.approx((0.0, 0.2, 0.5))
    assert step.requests.outputs == (2, 2, 2)
    # Three requests are too few for a verdict, which is no failure.
    assert step.verdict is None
    assert "needs at least 6 requests for an interval (have 3): give more --duration" in step.audit.problems


def test_a_running_server(tmp_path):
    async def scenario():
        async with Worker(Project.load(TINY)) as worker:
            await worker.wait_ready(120)
            args = ("--url", worker.url, "--rate", "40", "--arrivals", "constant", "--requests", "8", "--out", "l.json")
            return worker.url, await asyncio.to_thread(bench, tmp_path, *args)

    url, done = asyncio.run(scenario())
    assert done.returncode == 0, done.stderr
    assert f"load on {url}: plain predictions, open loop with constant arrivals" in done.stdout.replace("\n", " ")
    assert re.search(r"^40 requests/s +40 ", done.stdout, re.MULTILINE)
    assert read_document(LoadResult, tmp_path / "l.json").steps[0].summary.counts == {"succeeded": 8}


def test_a_server_that_dies_is_reported(tmp_path):
    done = bench(tmp_path, PROJECTS / "load_stalls", "--clients", "1", "--requests", "50", "-i", "dies_at=9")
    assert done.returncode == 1
    assert "the server was lost: the Python process of the Cog server died" in done.stdout
    assert "Traceback" not in done.stderr


def test_interrupted_it_leaves_a_file_to_read_and_no_process(tmp_path):
    mark = f"mark-{secrets.token_hex(8)}"
    args = ("--rate", "20", "--duration", "60", "--out", "load.json", "-i", "seconds=0.2", "-e", f"MARK={mark}")
    process = subprocess.Popen(
        [*PROGRAM, str(PROJECTS / "load_sleeps"), *args],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(240, process.kill)
    guard.start()
    try:
        for line in process.stderr:
            if "20 requests/s" in line:
                break
        threading.Event().wait(1.0)  # some requests
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "no verdict" in stdout
    assert "interrupted after 0 steps" in stdout
    assert [line for line in stderr.splitlines() if line] == ["The steps so far are in load.json", "Interrupted."]
    result = read_document(LoadResult, tmp_path / "load.json")
    assert not result.finished
    assert result.steps[0].summary.counts.keys() <= {"succeeded", "interrupted"}
    assert not result.steps[0].complete
    assert all_end(mark)
    assert [path.name for path in tmp_path.iterdir()] == ["load.json"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere is not a folder; give the folder that holds cog.yaml"),
        ([TINY, "--clients", "1,x"], "--clients '1,x': give whole numbers above 0, one for each step: 1,2,4"),
        ([TINY, "--rate", "0"], "--rate '0': give numbers above 0"),
        ([TINY, "--rate", "1", "--clients", "1"], "--clients and --rate: give one of them"),
        ([TINY, "--arrivals", "constant"], "--arrivals constant: goes with --rate"),
        ([TINY, "--trace-scale", "2"], "--trace-scale 2: goes with --trace"),
        ([TINY, "--trace", "no.csv"], "--trace no.csv: No such file"),
        ([TINY, "--objective", "fast"], "--objective 'fast': give a time with its unit such as 500ms"),
        ([TINY, "--objective", "ttft:1s"], "only a stream has a first output; give --mode stream as well"),
        ([TINY, "--url", "http://127.0.0.1:1"], "give one of them"),
        (["--url", "https://127.0.0.1"], "give it as http://HOST:PORT"),
        (["--url", "http://example.com", "--mode", "async"], "example.com cannot reach the bench's webhook"),
        ([TINY, "-i", "numbr=1", "--requests", "1"], "numbr: unknown input, did you mean 'number'"),
        ([TINY, "--out", "no/load.json"], "there is no folder no; create it or choose another"),
        ([TINY, "--rate", "1e9"], "arrivals, but a step takes 1,000,000; give less --duration"),
    ],
)
def test_mistakes_end_it_with_one_message(tmp_path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "load", *map(str, args)]) == 2
    assert message in capsys.readouterr().err
