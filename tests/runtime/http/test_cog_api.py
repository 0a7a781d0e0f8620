"""Answers that a real Cog server gives only in bad moments, given by a small HTTP server."""

import asyncio
import contextlib
import json

import pytest

from pilotlight.errors import InputError, SetupFailedError, WorkerBusyError, WorkerCrashedError, WorkerError
from pilotlight.runtime.events import Completed, Output, Started
from pilotlight.runtime.health import HealthStatus
from pilotlight.runtime.http.cog_api import CogApi
from pilotlight.types import Prediction, Status

DONE = {"id": "p", "status": "succeeded", "output": "hello"}


class Server:
    """Answers the requests in turn with ``(status, content type, body)``; the last answer stays."""

    def __init__(self, *answers, health="READY", error=None, setup_logs=""):
        self.accepts = []
        self._answers = list(answers)
        self._health = {"status": health, "user_healthcheck_error": error, "setup": {"logs": setup_logs}}
        self._connections = set()

    async def serve(self, reader, writer):
        self._connections.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next((line for line in head.splitlines() if line.startswith("content-length:")), ":0")
                await reader.readexactly(int(length.partition(":")[2]))
                if head.startswith("get /health-check"):
                    answer = (200, "application/json", json.dumps(self._health))
                else:
                    self.accepts.append("text/event-stream" in head)
                    answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                status, kind, body = answer
                data = body.encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
        writer.close()
        await writer.wait_closed()

    async def closed(self):
        """Waits for the client to leave."""
        if self._connections:
            await asyncio.wait(self._connections)


def run(server, scenario):
    async def bounded():
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        api = CogApi(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        try:
            async with listening, asyncio.timeout(120):
                return await scenario(api)
        finally:
            await api.close()
            await server.closed()

    return asyncio.run(bounded())


async def events(api, busy_timeout_s=120):
    fed = []
    fed.append(Completed(await api.run("p", b"{}", fed.append, busy_timeout_s=busy_timeout_s)))
    return fed


def as_json(status, body):
    return (status, "application/json", json.dumps(body))


COMPLETED = (200, "text/event-stream", f"event: completed\ndata: {json.dumps(DONE)}\n\n")


def test_a_server_that_refuses_streams_is_asked_without_from_then_on():
    server = Server(as_json(406, {"error": "no"}), as_json(200, DONE))

    async def scenario(api):
        return await events(api), await events(api)

    prediction = Prediction("p", Status.SUCCEEDED, output="hello")
    expected = [Started("p"), Output("hello", 0), Completed(prediction)]
    assert run(server, scenario) == (expected, expected)
    assert server.accepts == [True, False, False]


def test_a_busy_server_is_asked_again():
    server = Server(as_json(409, {}), as_json(409, {}), COMPLETED)
    assert [type(event) for event in run(server, events)] == [Completed]
    assert len(server.accepts) == 3


def test_a_server_that_takes_long_to_say_that_it_is_busy_is_asked_again():
    server = Server(as_json(409, {}), COMPLETED)
    assert [type(event) for event in run(server, lambda api: events(api, 0.0))] == [Completed]


def test_a_server_that_stays_busy_is_given_up():
    with pytest.raises(WorkerBusyError, match=r"stayed taken for 0\.1 s"):
        run(Server(as_json(409, {})), lambda api: events(api, 0.1))


def test_a_server_without_its_python_process_is_not_busy():
    lost = Server(as_json(409, {}), health="UNHEALTHY", error="Healthcheck error: channel closed")
    with pytest.raises(WorkerCrashedError, match="is gone"):
        run(lost, lambda api: events(api, 15.0))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (as_json(422, {"detail": [{"loc": ["body", "input", "n"], "msg": "too big"}]}), InputError, "^n: too big$"),
        ((400, "text/plain", "not JSON"), InputError, "not JSON"),
        ((413, "text/plain", "too large"), InputError, "too large"),
        (as_json(503, {"error": "Setup has not finished"}), WorkerError, "not ready: Setup has not finished"),
        ((500, "text/plain", "x" * 10_000), WorkerError, "answered 500: x{400}$"),
        ((200, "application/json", "nonsense"), WorkerError, "cannot be parsed"),
        ((200, "text/event-stream", "event: completed\ndata: {}\n\n"), WorkerError, "cannot be parsed"),
    ],
)
def test_refusals(answer, error, message):
    with pytest.raises(error, match=message):
        run(Server(answer), events)


def test_an_output_of_many_megabytes_is_one_event():
    chunk = "é" * 5_000_000
    output = f'event: output\ndata: {{"chunk":"{chunk}","index":0}}\n\n'
    server = Server((200, "text/event-stream", output + COMPLETED[2]))
    assert run(server, events)[0] == Output(chunk, 0)


def test_a_stream_that_ends_before_the_prediction_is_a_crash():
    with pytest.raises(WorkerCrashedError, match="ended the stream before the prediction had ended"):
        run(Server((200, "text/event-stream", 'event: start\ndata: {"id":"p"}\n\n')), events)


def test_a_server_that_dies_in_mid_stream():
    cut = 'event: output\ndata: {"chunk":"a","index":0}\n\nevent: outp'

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(f"{head}{len(cut):x}\r\n{cut}\r\n".encode())
        await writer.drain()
        writer.close()

    async def scenario():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening, asyncio.timeout(120):
            api = CogApi(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            fed = []
            with pytest.raises(WorkerCrashedError, match="connection to the Cog server broke: the server closed"):
                await api.run("p", b"{}", fed.append, busy_timeout_s=1)
            assert fed == [Output("a", 0)]
            await api.close()

    asyncio.run(scenario())


def test_health_and_cancel():
    async def scenario(api):
        return await api.health(), await api.cancel("p"), await api.cancel("p")

    health, first, second = run(Server(as_json(200, {}), as_json(404, {}), health="BUSY"), scenario)
    assert (health.status, first, second) == (HealthStatus.BUSY, True, False)


def test_a_setup_that_printed_too_much_for_a_health_check():
    chatty = Server(as_json(200, {}), setup_logs="x" * (17 << 20))
    with pytest.raises(SetupFailedError, match="longer than 16 MiB, because it holds what"):
        run(chatty, lambda api: api.health())


def test_a_server_that_is_not_there():
    async def scenario():
        api = CogApi("http://127.0.0.1:9")
        try:
            await api.health()
        finally:
            await api.close()

    with pytest.raises(WorkerCrashedError, match="connection to the Cog server broke"):
        asyncio.run(scenario())
