"""Cog's HTTP API in front of something else: next to a real Cog server, and before a backend that does what we say."""

import asyncio
import contextlib
import http.client
import json
import threading

import httpx2
import pytest

from pilotlight.adapters.calls import Calls
from pilotlight.adapters.cog_http import create_app
from pilotlight.adapters.cog_schemas import encode_event
from pilotlight.adapters.hosting import Host
from pilotlight.errors import InputError, WorkerBusyError, WorkerCrashedError, WorkerError
from pilotlight.runtime import Completed, HealthStatus, Log, Metric, Output, Project, Started, Worker, schema_for
from pilotlight.runtime.events import decode_event
from pilotlight.sse import Decoder
from pilotlight.types import Prediction, Status
from tests.adapters.fronts import on_a_thread
from tests.cog.gateway_process import wait_until
from tests.paths import PROJECTS

PROJECT = Project.load(PROJECTS / "run_text")


class HostBackend:
    """One Cog server."""

    def __init__(self, host):
        self.document = host.document
        self.stream = host.stream

    async def cancel(self, prediction_id):
        return False

    async def health(self):
        return HealthStatus.READY


class ScriptedBackend:
    """Yields what it was given, raises it where it is an error, and waits for ``release`` where it is ``None``."""

    def __init__(self, *script, status=HealthStatus.READY):
        self.document = schema_for(PROJECT)
        self.script = script
        self.status = status
        self.waiting = threading.Event()
        self.left = threading.Event()

    async def stream(self, inputs, prediction_id, context):
        try:
            for step in self.script:
                if step is None:
                    self.waiting.set()
                    await asyncio.Event().wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.left.set()

    async def cancel(self, prediction_id):
        return prediction_id == "elsewhere"

    async def health(self):
        return self.status


@contextlib.contextmanager
def scripted(*script, **options):
    """(backend, URL, calls)."""
    backend, calls = ScriptedBackend(*script, **options), Calls()
    with on_a_thread(create_app(backend, calls)) as url:
        yield backend, url, calls


@pytest.fixture(scope="module")
def ours():
    with Host(PROJECT) as host, on_a_thread(create_app(HostBackend(host), Calls())) as url:
        yield url


@pytest.fixture(scope="module")
def cogs():
    """A bare Cog server, kept up by a loop on a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def here(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(120)

    worker = Worker(PROJECT)
    try:
        here(worker.start())
        here(worker.wait_ready(120))
        yield worker.url
    finally:
        here(worker.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(120)
        loop.close()


def ask(url, path="/predictions", body=None, *, method="POST", **headers):
    content = body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): one for name, one in headers.items()}}
    answer = httpx2.request(method, url + path, content=content, headers=headers, trust_env=False)
    while answer.status_code == 409:  # Cog's server frees a slot just after its answer
        answer = httpx2.request(method, url + path, content=content, headers=headers, trust_env=False)
    return answer


def events_of(answer):
    return [(event.event, json.loads(event.data)) for event in Decoder().feed(answer.content)]


def comparable(value):
    """Without what differs from one run to the next."""
    if isinstance(value, dict):
        return {name: comparable(one) for name, one in value.items() if name not in ("predict_time",)}
    return [comparable(one) for one in value] if isinstance(value, list | tuple) else value


GOOD = {"prompt": "a\u2028", "count": 2}


@pytest.mark.parametrize(
    ("path", "method", "body", "status"),
    [
        ("/predictions/a", "PUT", {"input": GOOD}, 200),
        ("/predictions", "POST", {"input": GOOD, "id": "b"}, 200),
        ("/predictions/a", "PUT", {"input": {"prompt": "c", "count": 0}}, 200),
        ("/predictions/a", "PUT", {"input": {"prompt": "c", "count": -1}}, 422),
        ("/predictions/a", "PUT", {"input": {"count": "x"}}, 422),
        ("/predictions/a", "PUT", {"input": {}}, 422),
        ("/predictions/a", "PUT", {}, 422),
        ("/predictions/a", "PUT", {"input": GOOD, "id": "b"}, 422),
        ("/predictions/a/cancel", "POST", {}, 404),
        ("/openapi.json", "GET", {}, 200),
    ],
)
def test_it_answers_as_a_cog_server(ours, cogs, path, method, body, status):
    answers = [ask(url, path, body, method=method) for url in (ours, cogs)]
    assert [one.status_code for one in answers] == [status, status]
    mine, cog = [comparable(one.json()) for one in answers]
    assert mine == cog


def test_a_failure_keeps_the_output_and_logs_that_cog_itself_gives_only_in_a_stream(ours, cogs):
    body = {"input": {**GOOD, "mode": "raise"}}
    mine, cog = [comparable(ask(url, "/predictions/a", body, method="PUT").json()) for url in (ours, cogs)]
    assert mine == {**cog, "output": ["a\u20280 ", "a\u20281 "], "logs": "mode raise\nto stderr\n"}


@pytest.mark.parametrize("inputs", [GOOD, {**GOOD, "mode": "raise"}, {"prompt": "a", "count": 0}])
def test_it_streams_as_a_cog_server(ours, cogs, inputs):
    path, body = "/predictions/a", {"input": inputs}
    mine, cog = [ask(url, path, body, method="PUT", Accept="text/event-stream") for url in (ours, cogs)]
    assert mine.headers["content-type"].startswith("text/event-stream")
    assert comparable(events_of(mine)) == comparable(events_of(cog))


@pytest.mark.parametrize(
    ("body", "headers", "statuses"),
    [
        ("{", {}, (400, 400)),
        ("[1]", {}, (422, 422)),
        ("{}", {"Content_Type": "text/plain"}, (415, 415)),
        # Which a Cog server takes, and does: what it does would not outlive the connection here.
        ({"input": GOOD}, {"Prefer": "respond-async"}, (422, 202)),
    ],
)
def test_what_is_no_request_has_the_status_of_a_cog_server(ours, cogs, body, headers, statuses):
    assert tuple(ask(url, body=body, **headers).status_code for url in (ours, cogs)) == statuses


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": 5}, "an object of inputs"),
        ({"input": GOOD, "context": {"a": 1}}, "texts by name"),
        ({"input": GOOD, "webhook": "http://127.0.0.1/"}, "webhooks are not supported"),
        ({"input": GOOD, "id": "../a"}, "prediction id"),
        ({"input": GOOD, "id": 5}, "prediction id"),
    ],
)
def test_what_is_not_offered_or_would_be_dropped_is_refused_by_name(ours, body, words):
    answer = ask(ours, body=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"][0]["msg"]


def test_the_context_reaches_the_predictor(ours):
    body = {"input": {"prompt": "a", "count": 0, "mode": "context"}, "context": {"who": "me"}}
    assert ask(ours, body=body).json()["output"] == ["me"]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (WorkerBusyError("full"), 409, "full"),
        (WorkerError("not there"), 503, "not there"),
        (InputError("prompt", "cannot be fetched"), 422, "cannot be fetched"),
    ],
)
def test_what_cannot_begin_has_a_status_of_its_own(accept, error, status, words):
    with scripted(error) as (_, url, calls):
        answer = httpx2.post(f"{url}/predictions", json={"input": GOOD}, headers={"Accept": accept}, trust_env=False)
        assert (answer.status_code, len(calls)) == (status, 0)
        assert words in answer.text


def test_what_is_lost_after_it_began_is_a_failed_prediction_with_all_that_came():
    lost = [Started("a"), Log("stdout", "hm\n"), Output("x", 0), WorkerCrashedError("the replica is gone")]
    expected = {"id": "a", "status": "failed", "output": ["x"], "error": "the replica is gone", "logs": "hm\n"}
    with scripted(*lost) as (_, url, _):
        answer = ask(url, "/predictions/a", {"input": GOOD}, method="PUT")
        assert (answer.status_code, answer.json()) == (200, {**expected, "metrics": {}})
        stream = ask(url, "/predictions/a", {"input": GOOD}, method="PUT", Accept="text/event-stream")
        assert events_of(stream)[-1] == ("completed", {**expected, "metrics": {}})


@pytest.mark.parametrize("before", [[], [Started("a"), Output("x", 0)]])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_caller_who_hangs_up_cancels_it_whether_it_has_begun_or_not(before, accept):
    with scripted(*before, None) as (backend, url, calls):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
        headers = {"Accept": accept, "Content-Type": "application/json"}
        connection.request("POST", "/predictions", json.dumps({"input": GOOD}), headers)
        assert backend.waiting.wait(120)
        connection.close()
        assert backend.left.wait(120)
        wait_until(lambda: not calls)


@pytest.mark.parametrize("before", [[], [Started("a"), Output("x", 0), Log("stderr", "hm")]])
def test_a_cancel_by_id_ends_it_for_its_caller(before):
    with scripted(*before, None) as (backend, url, _):
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(ask(url, "/predictions/a", {"input": GOOD}, method="PUT"))
        )
        asking.start()
        assert backend.waiting.wait(120)
        assert ask(url, "/predictions/a", {"input": GOOD}, method="PUT").status_code == 202
        assert ask(url, "/predictions/a/cancel").status_code == 200
        asking.join(120)
        found = answers[0].json()
        assert (found["status"], found.get("output")) == ("canceled", ["x"] if before else None)
        assert backend.left.wait(120)
        assert ask(url, "/predictions/a/cancel").status_code == 404
        assert ask(url, "/predictions/elsewhere/cancel").status_code == 200


@pytest.mark.parametrize(("status", "code"), [("READY", 200), ("BUSY", 200), ("STARTING", 503), ("UNHEALTHY", 503)])
def test_health_is_told_in_both_ways(status, code):
    with scripted(status=HealthStatus(status)) as (_, url, _):
        assert ask(url, "/health-check", method="GET").json() == {"status": status}
        assert ask(url, "/health", method="GET").status_code == code


@pytest.mark.parametrize(
    "event",
    [
        Started("a"),
        Log("stdout", "a\r\nb\u2028\x85"),
        Metric("n", [1.5], "append"),
        Output({"a": "\U0001f600"}, 3),
        Completed(Prediction("a", Status.FAILED, ["x"], "boom", "log", {"predict_time": 0.5})),
        Completed(Prediction("a", Status.SUCCEEDED)),
    ],
)
def test_events_survive_the_wire(event):
    (sent,) = Decoder().feed(encode_event(event))
    assert decode_event(sent.event, sent.data) == event
