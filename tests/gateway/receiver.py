"""A real HTTP server that takes what is sent to it, and answers as it is told."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Listens on 127.0.0.1.

    Attributes:
        received: all requests, in the order in which they came.
        answers: by path, what to send instead of an empty 200: the bytes of a whole HTTP answer.
        open: whether requests are answered at all; they wait while it is not set.
    """

    def __init__(self):
        self.received = []
        self.answers = {}
        self.open = asyncio.Event()
        self.open.set()
        self.port = 0
        self._arrived = asyncio.Event()

    def url(self, path="/hook"):
        return f"http://127.0.0.1:{self.port}{path}"

    async def until(self, condition):
        """Waits until what was received fulfils it."""
        while not condition(self.received):
            self._arrived.clear()
            await self._arrived.wait()

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.received.append(Received(method, path, headers, body))
                self._arrived.set()
                await self.open.wait()
                writer.write(self.answers.get(path, answer(200)))
                await writer.drain()


def answer(status, body=b"", **headers):
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.asynccontextmanager
async def receiving():
    """A receiver that listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.close()
