"""The gateway with real Cog servers, driven by the unmodified ``replicate`` client."""

import asyncio
import os
import select
import signal
import socket

import httpx2
import psutil
import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError

from pilotlight.gateway import prediction as lifecycle
from pilotlight.runtime import Project, Worker
from pilotlight.runtime.schema.validation import InvalidInputError, Validator
from tests.cog.gateway_process import gateway_process, wait_until
from tests.paths import PROJECTS

MODEL = "local/run_text"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateway_process(
        tmp_path_factory.mktemp("home"), "run_text", "run_values", "run_files", "run_broken"
    ) as process:
        yield process


@pytest.fixture
def client(gateway):
    return gateway.client()


def version_of(client, model=MODEL):
    return client.models.get(model).latest_version


def events_of(client, **inputs):
    return [(event.event.value, event.data) for event in client.stream(MODEL, input=inputs)]


def test_run_by_name_and_by_version(client):
    assert client.run(MODEL, input={"prompt": "a"}) == ["a0 ", "a1 ", "a2 "]
    found = client.run(f"{MODEL}:{version_of(client).id}", input={"prompt": "b", "count": 1})
    assert list(found) == ["b0 "]
    polled = client.run(f"{MODEL}:{version_of(client).id}", input={"prompt": "c", "pause_s": 0.05}, wait=False)
    assert list(polled) == ["c0 ", "c1 ", "c2 "]
    with pytest.raises(ModelError, match="boom"):
        client.run(MODEL, input={"prompt": "a", "mode": "raise"})


def test_run_asynchronously_with_the_environments_url_and_token(gateway, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", gateway.url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", "any")

    async def scenario():
        client = replicate.Client()
        try:
            return await client.async_run(MODEL, input={"prompt": "a", "count": 1})
        finally:
            await client._async_client.aclose()

    assert asyncio.run(scenario()) == ["a0 "]


def test_when_the_wait_runs_out_the_client_goes_on_by_polling(client):
    found = client.run(MODEL, input={"prompt": "a", "count": 2, "pause_s": 0.8}, wait=1)
    assert found == ["a0 ", "a1 "]


def test_streams(client):
    # Long enough that the client is there before its end: a stream that is replayed has its logs in one piece.
    events = events_of(client, prompt="one\ntwo\u2028", count=2, pause_s=0.2)
    assert events == [
        ("logs", "mode echo\n"),
        ("logs", "to stderr\n"),
        ("output", "one\ntwo\n0 "),
        ("output", "one\ntwo\n1 "),
        ("done", "{}"),
    ]
    with pytest.raises(RuntimeError, match="boom"):
        events_of(client, prompt="a", mode="raise")


def test_create_reload_cancel_wait(client):
    prediction = client.predictions.create(version_of(client), {"prompt": "a", "pause_s": 60})
    assert (prediction.status, prediction.output) == ("starting", None)
    wait_until(lambda: prediction.reload() or prediction.output)
    assert (prediction.status, prediction.output) == ("processing", ["a0 "])
    prediction.cancel()
    prediction.wait()
    assert prediction.status == "canceled"
    assert prediction.metrics["predict_s"] > 0
    assert list(client.predictions.get(prediction.id).stream())[-1].data == '{"reason":"canceled"}'


def test_deployments_and_whole_outputs(client):
    deployment = client.deployments.get("local/run_values")
    prediction = deployment.predictions.create({"kind": "object", "text": "x"})
    prediction.wait()
    assert (prediction.status, prediction.output) == ("succeeded", {"text": "x", "length": 1})
    file = client.run("local/run_values", input={"kind": "file", "text": "written"})
    assert file.read() == b"written"


def test_files(client, tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("one\ntwo\n")
    with path.open("rb") as file:
        (copy,) = client.run("local/run_files", input={"source": file})
    assert copy.read() == b"one\ntwo\n"
    (uploaded,) = client.files.list()
    assert (uploaded.name, uploaded.size) == ("poem.txt", 8)
    assert client.files.get(uploaded.id).checksums == uploaded.checksums
    assert client.files.create(path, metadata={"a": 1}).metadata == {"a": 1}
    assert client.files.delete(uploaded.id)
    assert len(client.files.list()) == 1


def test_lists_and_pages(client):
    pages = list(replicate.pagination.paginate(client.predictions.list))
    assert [one.id for one in pages[0]]
    assert [model.name for model in client.models.list()] == ["run_text", "run_values", "run_files", "run_broken"]
    assert client.models.get(MODEL).versions.list()[0].id == version_of(client).id
    assert client.models.get(MODEL).versions.get(version_of(client).id).openapi_schema["openapi"]
    assert client.hardware.list()[0].sku == "local"
    assert client.accounts.current().username == "local"


def test_a_version_that_cannot_start_says_why(client):
    prediction = client.predictions.create(version_of(client, "local/run_broken"), {"prompt": "a"})
    prediction.wait()
    assert prediction.status == "failed"
    assert "weights/model.safetensors is not there" in prediction.error
    assert prediction.logs == "looking for the weights"


BAD = {
    "run_text": (
        {},
        {"prompt": 1},
        {"prompt": "ä\n\"'", "count": -1, "pause_s": 99},
        {"prompt": "a", "count": 2.5},
        {"prompt": "a", "count": "x"},
        {"count": 1e9},
        {"prompt": ["a"], "mode": {"b": None}},
    ),
    "run_values": ({"kind": "ü"}, {"kind": 3}, {"kind": "text", "document": 5}, {"text": 5, "document": 6}),
    "run_lines": ({"numbers": ["a", 1, None]}, {"numbers": "a"}, {"label": 3}),
}


@pytest.mark.parametrize("project", BAD)
def test_the_gateway_refuses_what_the_worker_refuses_in_the_same_words(project):
    async def scenario():
        async with Worker(Project.load(PROJECTS / project)) as worker:
            await worker.wait_ready(120)
            validator = Validator(worker.schema)
            async with httpx2.AsyncClient(base_url=worker.url, trust_env=False, timeout=120) as http:
                for inputs in BAD[project]:
                    answer = await http.post("/predictions", json={"input": inputs})
                    assert answer.status_code == 422
                    with pytest.raises(InvalidInputError) as caught:
                        validator.check(inputs)
                    assert [mistake.detail for mistake in caught.value.mistakes] == answer.json()["detail"]

    asyncio.run(scenario())


def test_a_wrong_input_reaches_the_client_as_an_error(client):
    with pytest.raises(ReplicateError) as caught:
        client.run(MODEL, input={"count": -1})
    assert caught.value.status == 422
    assert caught.value.detail == "- input.count: -1 is less than the minimum of 0\n- input.prompt: Field required"


def test_kill_9_of_the_gateway_loses_nothing_and_leaves_no_process(tmp_path):
    with gateway_process(tmp_path, "run_text") as first:
        client = first.client()
        version = version_of(client)
        done = client.predictions.create(version, {"prompt": "a", "count": 1})
        done.wait()
        ran = client.predictions.create(version, {"prompt": "b", "pause_s": 60})
        waited = [client.predictions.create(version, {"prompt": f"c{n}", "count": 1}) for n in range(3)]
        wait_until(lambda: ran.reload() or ran.status == "processing")
        workers = psutil.Process(first.process.pid).children(recursive=True)
        assert len(workers) >= 2
        os.kill(first.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=120)
        assert alive == []
    with gateway_process(tmp_path, "run_text") as second:
        client = second.client()
        states_now = {one.id: client.predictions.get(one.id) for one in (done, ran, *waited)}
        assert states_now[done.id].output == ["a0 "]
        assert (states_now[ran.id].status, states_now[ran.id].error) == ("failed", lifecycle.INTERRUPTED)
        for n, one in enumerate(waited):
            found = states_now[one.id]
            found.wait()
            assert (found.status, found.output) == ("succeeded", [f"c{n}0 "])
        assert len(client.predictions.list()) == 5


def test_no_worker_takes_connections_of_others(gateway, client):
    """The attack: find the port in /proc, and run predictions there, read files by paths, or shut the server down."""

    def taken(address):
        with socket.socket() as other:
            other.setblocking(False)
            other.connect_ex(address)
            assert client.run(MODEL, input={"prompt": "a", "count": 1}) == ["a0 "]
            return bool(select.select([], [other], [], 0)[1])

    client.run(MODEL, input={"prompt": "a", "count": 1})
    family = psutil.Process(gateway.process.pid).children(recursive=True)
    found = [one for process in family for one in process.net_connections("tcp")]
    addresses = {tuple(one.laddr) for one in found if one.status == psutil.CONN_LISTEN}
    assert addresses
    # The filter is there a moment after the server listens.
    wait_until(lambda: not any(map(taken, addresses)))


def test_a_killed_worker_fails_what_ran_on_it_and_the_next_prediction_is_served(client):
    with pytest.raises(ModelError, match="died during prediction"):
        client.run(MODEL, input={"prompt": "a", "count": 1, "mode": "die"})
    assert client.run(MODEL, input={"prompt": "b", "count": 1}) == ["b0 "]
