"""A server other than Cog's, such as `transformers serve`, as a system under test, with OpenAI's completions API."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.records import hook_environment, opened_files, read_records
from pilotlight.bench.harness.proc import touched_files
from pilotlight.bench.load.records import RequestRecord
from pilotlight.bench.load.send import Sender
from pilotlight.bench.load.turns import SlotQueue
from pilotlight.bench.systems.clients import play_levels
from pilotlight.bench.systems.system_under_test import Began, Level, Load
from pilotlight.errors import WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.runtime.http.transport import Endpoint, HttpConnection, Pool
from pilotlight.runtime.server.process import ProcessGroup

__all__ = ["CompletionsMode", "ServerSystem"]

_LOOK_S = 0.01
_STOP_GRACE_S = 0.5
_KEPT_LINES = 200


class CompletionsMode:
    """``POST /v1/completions`` with ``stream``: a request mode for ``load.send.Sender``."""

    def __init__(self, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        content = json.dumps({**body, "stream": True}).encode()
        self._request = endpoint.post("/v1/completions", content, "Accept: text/event-stream\r\n")

    async def exchange(self, connection: HttpConnection, record: RequestRecord) -> None:
        record.sent = time.monotonic()
        connection.send(self._request)
        head = await connection.head()
        record.http_status = head.status
        if head.status != HTTPStatus.OK:
            record.end("error", f"HTTP {head.status}: {(await connection.read()).decode('utf-8', 'replace')}")
            return
        async with aclosing(connection.events()) as events:
            async for sent in events:
                self._take(sent.data, record)
        record.done = time.monotonic()
        record.outputs = len(record.outputs_at)
        if record.tokens is None:
            raise WorkerError("the stream ended before the completion did")
        record.end("succeeded")

    def _take(self, data: str, record: RequestRecord) -> None:
        if data == "[DONE]":
            return
        chunk = json.loads(data)
        if "error" in chunk:
            raise WorkerError(f"the server failed: {chunk['error']}")
        if any(choice.get("text") for choice in chunk["choices"]):
            record.outputs_at.append(time.monotonic())
        if chunk.get("usage"):
            record.tokens = int(chunk["usage"]["completion_tokens"])


@dataclass(frozen=True, slots=True)
class ServerSystem:
    """A command that serves one model.

    Attributes:
        argv: a function from a port to the command.
        env: the variables on top of this process's.
        cwd: the working directory.
        body: a function from the prompt and a number of tokens to the request.
        command: a description of the command.
        first_tokens: the tokens of the first request of a start.
    """

    name: str
    argv: Callable[[int], Sequence[str]]
    env: Mapping[str, str]
    cwd: Path
    body: Callable[[str, int], dict[str, Any]]
    command: str
    prompt: str
    timeout_s: float
    first_tokens: int = 8
    starts: bool = True
    streams: bool = True

    async def start(self, *, note_files: bool) -> Began:
        with tempfile.TemporaryDirectory(prefix="pilotlight-") as name:
            folder = Path(name)
            environ = {**os.environ, **self.env}
            noted = hook_environment(folder, Path(__file__), environ, note_files=True) if note_files else {}
            async with self._running({**environ, **noted}) as (process, endpoint):
                ready_s = time.monotonic()
                record = await self._first(endpoint)
                files = await asyncio.to_thread(touched_files, process.pid) if note_files else set()
            files |= opened_files(read_records(folder))
        spawned_s = process.spawned_at_s
        assert record.done is not None, "this is a bug: it has succeeded"
        return Began(
            ready_s=ready_s - spawned_s,
            first_output_s=record.outputs_at[0] - spawned_s,
            wall_s=record.done - spawned_s,
            files=frozenset(path for path in files if not path.is_relative_to(folder)),
        )

    async def stream(self, load: Load) -> list[Level]:
        async with self._running({**os.environ, **self.env}) as (_, endpoint):
            way = CompletionsMode(endpoint, self.body(load.prompt, load.tokens))
            return await play_levels(endpoint, way, load)

    async def _first(self, endpoint: Endpoint) -> RequestRecord:
        pool = Pool(endpoint)
        record = RequestRecord(time.monotonic())
        try:
            way = CompletionsMode(endpoint, self.body(self.prompt, self.first_tokens))
            await Sender(pool, way, turns=SlotQueue(), timeout_s=self.timeout_s).send(record)
        finally:
            pool.close()
        if record.outcome != "succeeded" or not record.outputs_at:
            raise WorkerError(f"the first request of {self.name} {record.outcome}: {record.message or 'no output'}")
        return record

    @asynccontextmanager
    async def _running(self, environ: Mapping[str, str]) -> AsyncIterator[tuple[ProcessGroup, Endpoint]]:
        """Yield the server once its health check is answered; stop it in the end."""
        port = _free_port()
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        process = await ProcessGroup.start(self.argv(port), cwd=self.cwd, env=environ, on_line=lines.append)
        try:
            await self._wait_healthy(process, port, lines)
            yield process, Endpoint("127.0.0.1", port)
        finally:
            await process.stop(_STOP_GRACE_S)

    async def _wait_healthy(self, process: ProcessGroup, port: int, lines: deque[str]) -> None:
        deadline = time.monotonic() + self.timeout_s
        while not await _healthy(port):
            if await process.wait(_LOOK_S):
                raise WorkerCrashedError(f"{self.name} ended before it was ready", logs="\n".join(lines))
            if time.monotonic() > deadline:
                raise WorkerTimeoutError(f"{self.name} was not ready after {self.timeout_s:g} s", logs="\n".join(lines))


async def _healthy(port: int) -> bool:
    """Return whether ``GET /health`` is answered with 200."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
