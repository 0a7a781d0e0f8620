"""``pilotlight logs`` and ``pilotlight top``, of a gateway that runs."""

import io
import json
import re

import pytest
from rich.console import Console

from pilotlight.cli.gateway.top import render
from tests.cog.gateway_process import gateway_process, wait_until

MODEL = "local/run_text"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateway_process(tmp_path_factory.mktemp("home"), "run_text", args=["--token", "t"]) as process:
        process.replicate = process.client(token="t")
        process.replicate.run(MODEL, input={"prompt": "a", "count": 1})
        yield process


@pytest.fixture
def pilotlight(gateway, monkeypatch, capsys):
    monkeypatch.setenv("PILOTLIGHT_URL", gateway.url)
    monkeypatch.setenv("PILOTLIGHT_API_TOKEN", "t")

    def call(*args):
        from pilotlight.cli import run

        status = run(args)
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_logs_of_all_and_of_one_model(pilotlight):
    status, out, _ = pilotlight("logs")
    assert status == 0
    assert re.search(r"^\d\d:\d\d:\d\d local/run_text loading the text model$", out, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d local/run_text \w{8} mode echo$", out, re.MULTILINE)
    _, out, _ = pilotlight("logs", MODEL, "--tail", "2", "--json")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["mode echo", "to stderr"]


def test_logs_of_one_prediction_to_its_end(pilotlight, gateway):
    version = gateway.replicate.models.get(MODEL).latest_version
    created = gateway.replicate.predictions.create(version, {"prompt": "a", "count": 2, "pause_s": 0.2})
    assert pilotlight("logs", created.id, "-f") == (0, "mode echo\nto stderr\n", "")
    created.reload()
    assert created.status == "succeeded"
    _, out, _ = pilotlight("logs", created.id, "--json")
    assert json.loads(out.splitlines()[0]) == {"prediction": created.id, "text": "mode echo"}


def test_logs_are_followed_until_the_gateway_ends(tmp_path, monkeypatch, capsys):
    from pilotlight.cli import run

    with gateway_process(tmp_path, "run_text") as process:
        process.client().run(MODEL, input={"prompt": "a", "count": 1})
        wait_until(lambda: any("loading" in line for line in process.lines))
        process.process.terminate()
        assert run(["logs", "--url", process.url, "-f"]) in (0, 1)  # it may have gone before it was asked
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("logs", "none"), 2, "there is no prediction 'none' at this gateway"),
        (("logs", "local/none"), 1, "There is no model 'local/none' here"),
        (("logs", "--tail", "5001"), 2, "5001"),
        (("top", "--url", "here"), 2, "give an address such as http://127.0.0.1:8394"),
        (("top", "--url", "http://127.0.0.1:1"), 1, "`pilotlight gateway` starts one"),
        (("top", "--token", "wrong"), 1, "401"),
    ],
)
def test_what_cannot_be_shown_is_one_message(pilotlight, args, status, words):
    found, out, err = pilotlight(*args)
    assert (found, out) == (status, "")
    assert words in err
    assert "Traceback" not in err


def test_top_in_a_pipe_is_shown_once(pilotlight):
    status, out, _ = pilotlight("top")
    assert status == 0
    assert re.search(r"^local/run_text:\w{12} +ready +1 +0/1 +0 ", out, re.MULTILINE)
    assert "succeeded" in out


def test_top_as_json_is_the_gateways_own_words(pilotlight):
    _, out, _ = pilotlight("top", "--json")
    (model,) = json.loads(out)["models"]
    assert (model["model"], model["state"], model["ended"]["failed"]) == (MODEL, "ready", 0)


STATUS = {
    "now": 0.0,
    "stopping": True,
    "models": [
        {
            "model": "a/b",
            "version": "0" * 64,
            "state": "starting",
            "ready_workers": 1,
            "starting_workers": 2,
            "slots": 4,
            "running": 3,
            "waiting": 5,
            "ended": {"succeeded": 7, "failed": 8, "canceled": 9},
            "refused": 6,
            "cold_share": 0.25,
            "total_s": {"n": 3, "p50_s": 0.0123, "p95_s": None},
            "first_chunk_s": {"n": 0, "p50_s": None, "p95_s": None},
        }
    ],
    "versions": [
        {
            "model": "a/b",
            "version": str(number) * 64,
            "deployment": deployment,
            "traffic_share": share,
            "ready_workers": 1,
            "starting_workers": 0,
            "running": 1,
            "waiting": 2,
            "ended": {"succeeded": 3, "failed": 4, "canceled": 5},
            "cold_share": None,
            "total_s": {"n": 60, "p50_s": 0.5, "p95_s": 2.0},
        }
        for number, deployment, share in ((1, "local/steady", 0.95), (2, "local/steady", 0.05), (2, None, 1.0))
    ],
    "predictions": [
        {"id": "x", "model": "a/b", "status": "starting", "queue_s": None, "cold_start_s": None, "predict_s": None}
    ],
}


@pytest.mark.parametrize(
    ("width", "row", "version"),
    [
        (
            80,
            "a/b    starting     1 +2  3/4     5   12 ms  few   7       8   25%",
            "222222222222  local/steady       5%        1  500 ms   3       4     -",
        ),
        (
            120,
            "a/b:000000000000  starting     1 +2  3/4     5   12 ms  few             -   7       8        6   25%",
            "a/b    222222222222  local/steady       5%        1    1     2  500 ms  2.00 s   3       4     -",
        ),
    ],
)
def test_every_column_fits(width, row, version):
    console = Console(file=io.StringIO(), width=width)
    console.print(render(STATUS, "http://a", width))
    lines = console.file.getvalue().splitlines()
    assert {row, version} <= {line.rstrip() for line in lines}
    assert max(map(len, lines)) <= width
    assert lines[0].endswith("stopping")
    assert "a/b" in lines[-1]


def test_a_model_with_one_version_has_no_table_of_versions():
    console = Console(file=io.StringIO(), width=120)
    console.print(render({**STATUS, "versions": STATUS["versions"][:1]}, "http://a", 120))
    assert "traffic" not in console.file.getvalue()
