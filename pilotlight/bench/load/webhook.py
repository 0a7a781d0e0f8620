"""The webhook receiver for asynchronous predictions of a Cog server: an HTTP server on the loopback address."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from pilotlight.runtime.events import decode_prediction
from pilotlight.types import Prediction

__all__ = ["Arrival", "Receiver", "receiving"]

# The arrival time of a report on the monotonic clock, and its content.
Arrival = tuple[float, Prediction]

_HOST = "127.0.0.1"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_NO = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LONGEST_HEAD_BYTES = 64 * 1024


class Receiver:
    """Passes each report to the request that expects it; created by ``receiving``.

    Attributes:
        url: the ``webhook`` URL for the server; it contains a secret so that no other caller can use it.
    """

    def __init__(self) -> None:
        self.url = ""
        self._path = f"/{secrets.token_urlsafe(16)}"
        self._expected: dict[str, asyncio.Future[Arrival]] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    @contextmanager
    def expect(self, prediction_id: str) -> Iterator[asyncio.Future[Arrival]]:
        """Yield a future for the report of a prediction."""
        arrival: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
        self._expected[prediction_id] = arrival
        try:
            yield arrival
        finally:
            del self._expected[prediction_id]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, report after report."""
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._report(reader, writer):
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def listen(self, port: int) -> None:
        """Set the URL for the port on which the server listens."""
        self.url = f"http://{_HOST}:{port}{self._path}"

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _report(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one report; return whether the connection can be used further."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        body = await reader.readexactly(_length(head))
        now = time.monotonic()
        known = head.startswith(f"post {self._path.lower()} ") and self._take(body, now)
        writer.write(_OK if known else _NO)
        return known

    def _take(self, body: bytes, now: float) -> bool:
        try:
            prediction = decode_prediction(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        arrival = self._expected.get(prediction.id)
        if arrival is not None and not arrival.done():  # otherwise the request was given up
            arrival.set_result((now, prediction))
        return True


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Yield a receiver that listens on a free port."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, _HOST, 0, limit=_LONGEST_HEAD_BYTES)
    receiver.listen(server.sockets[0].getsockname()[1])
    try:
        yield receiver
    finally:
        server.close()
        receiver.hang_up()
        await server.wait_closed()


def _length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip() == "content-length" and value.strip().isdecimal():
            return int(value)
    return 0
