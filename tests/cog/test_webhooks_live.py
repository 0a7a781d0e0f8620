"""Webhooks, inputs by URL and secrets, with real Cog servers and the unmodified ``replicate`` client."""

import contextlib
import http.server
import json
import os
import signal
import threading
from dataclasses import dataclass, field
from itertools import groupby

import httpx2
import pytest
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import Webhooks

from tests.cog.gateway_process import gateway_process, wait_until

MODEL = "local/run_text"
ALLOWED = ["--allow-network", "127.0.0.1/32"]


@dataclass
class Receiver:
    """Takes webhooks, and serves a file; it answers 503 to all while it is not ``well``."""

    well: bool = True
    received: list = field(default_factory=list)
    url: str = ""

    def ends(self):
        """The ids of predictions whose end was taken."""
        return {prediction["id"] for _, _, prediction, taken in self.received if taken and prediction["completed_at"]}


@contextlib.contextmanager
def receiving():
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append((headers, body, json.loads(body), receiver.well))
            self.answer(200 if receiver.well else 503)

        def do_GET(self):
            self.answer(200, b"from afar\n")

        def answer(self, status, body=b""):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def version_of(client, model=MODEL):
    return client.models.get(model).latest_version


def test_replicates_client_asks_for_webhooks_and_accepts_them(tmp_path):
    with receiving() as receiver, gateway_process(tmp_path, "run_text", "run_files", args=ALLOWED) as gateway:
        client = gateway.client()
        inputs = {"prompt": "a", "count": 3, "pause_s": 0.6}
        every = ["start", "output", "logs", "completed"]
        prediction = client.predictions.create(
            version_of(client), inputs, webhook=receiver.url, webhook_events_filter=every
        )
        ended = client.predictions.create(
            version_of(client), {"prompt": "b"}, webhook=receiver.url, webhook_events_filter=["completed"]
        )
        wait_until(lambda: receiver.ends() == {prediction.id, ended.id})
        secret = client.webhooks.default.secret()
        for headers, body, _, _ in receiver.received:
            Webhooks.validate(headers=headers, body=body.decode(), secret=secret)
        told = [one for _, _, one, _ in receiver.received if one["id"] == prediction.id]
        assert [status for status, _ in groupby(one["status"] for one in told)] == ["processing", "succeeded"]
        assert [output for output, _ in groupby(one["output"] for one in told)] == [
            None,
            ["a0 "],
            ["a0 ", "a1 "],
            ["a0 ", "a1 ", "a2 "],
        ]
        assert len([one for _, _, one, _ in receiver.received if one["id"] == ended.id]) == 1
        (copy,) = client.run("local/run_files", input={"source": f"{receiver.url}/poem.txt"})
        assert copy.read() == b"from afar\n"
        with pytest.raises(ReplicateError, match="not a public address"):
            client.run("local/run_files", input={"source": "http://169.254.169.254/latest/meta-data"})
        with pytest.raises(ReplicateError, match="no http:, https: or data: URL"):
            client.run("local/run_files", input={"source": "/etc/passwd"})


def test_replicates_client_is_told_that_there_are_no_trainings_and_collections(tmp_path):
    with gateway_process(tmp_path, "run_text") as gateway:
        client = gateway.client()
        assert (list(client.trainings.list()), list(client.collections.list())) == ([], [])
        for ask in (lambda: client.trainings.get("none"), lambda: client.collections.get("none")):
            with pytest.raises(ReplicateError, match="404"):
                ask()
        version = f"{MODEL}:{version_of(client).id}"
        with pytest.raises(ReplicateError, match="runs predictions only"):
            client.trainings.create(version=version, input={}, destination="local/other")
        assert [model.name for model in client.models.search("RUN")] == ["run_text"]
        assert list(client.models.search("nothing like it")) == []


def test_kill_9_of_the_gateway_loses_no_webhook(tmp_path):
    with receiving() as receiver:
        receiver.well = False
        with gateway_process(tmp_path, "run_text", args=ALLOWED) as first:
            client = first.client()
            options = {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
            done = client.predictions.create(version_of(client), {"prompt": "a", "count": 1}, **options)
            wait_until(lambda: receiver.received)
            ran = client.predictions.create(version_of(client), {"prompt": "b", "pause_s": 60}, **options)
            waited = client.predictions.create(version_of(client), {"prompt": "c", "count": 1}, **options)
            wait_until(lambda: ran.reload() or ran.status == "processing")
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(120)
        receiver.well = True
        with gateway_process(tmp_path, "run_text", args=ALLOWED):
            wait_until(lambda: receiver.ends() == {done.id, ran.id, waited.id})
        ends = {(one["id"], one["status"], headers["webhook-id"]) for headers, _, one, _ in receiver.received}
        assert {(name, status) for name, status, _ in ends} == {
            (done.id, "succeeded"),
            (ran.id, "failed"),
            (waited.id, "succeeded"),
        }
        assert len(ends) == 3  # however often: one id for each


def test_a_secret_is_nowhere_but_in_the_predictor(tmp_path):
    secrets = ["open sesame 1", "open sesame 2", "open sesame 3"]
    shown = []
    with receiving() as receiver, gateway_process(tmp_path, "run_secret", args=[*ALLOWED, "--keep", "1h"]) as gateway:
        client = gateway.client()
        version = version_of(client, "local/run_secret")
        one = client.predictions.create(version, {"token": secrets[0]}, webhook=receiver.url)
        one.wait()
        assert (one.output, one.input) == (13, {"token": "**********"})
        two = client.predictions.create(version, {"token": secrets[1], "fail": True}, webhook=receiver.url)
        with pytest.raises(ModelError):
            client.run("local/run_secret", input={"token": secrets[1], "fail": True})
        with pytest.raises(ReplicateError, match="this secret is not what the schema allows") as refused:
            client.run("local/run_secret", input={"token": [secrets[2]]})
        shown.append(str(refused.value))
        wait_until(lambda: receiver.ends() == {one.id, two.id})
        paths = ("v1/predictions", f"v1/predictions/{one.id}", "", "logs", "status", "metrics", "openapi.json")
        shown += [httpx2.get(f"{gateway.url}/{path}", timeout=120).text for path in paths]
        shown += [httpx2.get(one.urls["stream"], timeout=120).text for one in (one, two)]
        answers = httpx2.post(f"{gateway.url}/predict", json={"input": {"token": secrets[1]}}, timeout=120)
        shown += [answers.text, *(body.decode() for _, body, _, _ in receiver.received)]
        gateway.process.send_signal(signal.SIGTERM)
        gateway.end()
        shown += gateway.lines
    assert "given **********" in "".join(shown)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"given **********" in content for content in kept)
    for secret in secrets:
        assert secret not in "".join(shown)
        assert not [content for content in kept if secret.encode() in content]
