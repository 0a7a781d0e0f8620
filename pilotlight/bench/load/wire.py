"""As much HTTP/1.1 as a load generator needs, at a cost that a load generator can afford.

httpx2 needs about 0.8 ms of processor time for a request, as much as the Cog server itself for a trivial prediction: in
a closed loop it reaches a third of what ``wrk`` does (600 of 2,200 requests/s on two cores). This here reaches the same
as ``wrk`` (``scripts/agree_load.py`` checks that). One request at a time on a connection, and as many connections as
there are requests in flight: a request that waits for a connection would wait unseen.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from pilotlight.errors import WorkerError

__all__ = ["Connection", "Endpoint", "Head", "Pool", "WireError"]

_LONGEST_HEAD_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_LINE = b"\r\n"
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class WireError(WorkerError):
    """The connection broke, or what came over it is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, and below which path."""

    host: str
    port: int
    path: str = ""

    def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """A request with a JSON body, ready to be written; ``headers`` are whole lines, each with its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        head = (
            f"POST {self.path}{path} HTTP/1.1\r\nHost: {host}:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        )
        return head.encode("ascii") + body


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer; the names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    keeps_alive: bool


class Connection(asyncio.Protocol):
    """One connection: ``send`` a request, read its ``head``, then its ``body`` to the end; and again."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._lost: WireError | None = None
        self._reusable = True
        self._chunked = False

    @property
    def reusable(self) -> bool:
        """Whether it can take another request: the last answer was read to its end, and it is still open."""
        return self._reusable and self._lost is None and not self._data and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "this is a bug: not a stream"
        self._transport = transport
        self._socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._chunked:
            self._acknowledge()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = WireError(f"the connection broke: {exc}" if exc else "the server closed the connection")
        self._wake()

    def send(self, request: bytes) -> None:
        """Writes a request; returns at once."""
        self._reusable = False
        self._transport.write(request)

    def close(self) -> None:
        """Drops the connection, at once."""
        self._transport.abort()

    async def head(self) -> Head:
        """The status and the headers of the answer.

        Raises:
            WireError: the connection broke, or it is no answer.
        """
        head = _parse_head(await self._until(_END_OF_HEAD))
        self._head = head
        self._chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
        if self._chunked:
            self._acknowledge()
        return head

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The pieces of the body as they come, after the ``head``."""
        if self._chunked:
            async with aclosing(self._chunks()) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            yield await self._exactly(self._length())
        self._reusable = self._head.keeps_alive

    async def read(self) -> bytes:
        """The body as a whole."""
        if self._chunked:
            return b"".join([piece async for piece in self.body()])
        body = await self._exactly(self._length())
        self._reusable = self._head.keeps_alive
        return body

    def _length(self) -> int:
        given = self._head.headers.get("content-length")
        if given is None and self._head.status not in (204, 304):
            raise WireError("the server says neither how long its answer is nor that it comes in chunks")
        return _number(given or "0", 10)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        while length := _number((await self._until(_END_OF_LINE)).partition(b";")[0], 16):
            yield await self._exactly(length)
            if await self._until(_END_OF_LINE):
                raise WireError("the server sent a chunk that is longer than it said")
        while await self._until(_END_OF_LINE):  # trailers, which mean nothing to us
            pass

    async def _exactly(self, length: int) -> bytes:
        while len(self._data) < length:
            await self._more()
        piece = bytes(self._data[:length])
        del self._data[:length]
        return piece

    async def _until(self, end: bytes) -> bytes:
        """What comes before ``end``, which is taken as well."""
        while (position := self._data.find(end)) < 0:
            if len(self._data) > _LONGEST_HEAD_BYTES:
                raise WireError(f"the server sent {len(self._data):,} bytes of headers")
            await self._more()
        found = bytes(self._data[:position])
        del self._data[: position + len(end)]
        return found

    async def _more(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _acknowledge(self) -> None:
        """Acknowledges at once what has come.

        Cog's server leaves Nagle's algorithm on: it holds an event of a stream back until the one before is
        acknowledged, which Linux puts off by 40 ms on a connection in use. The kernel forgets this each time.
        """
        if _QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pool:
    """Connections to one server; every request that finds none idle opens one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[Connection] = []

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one request; leaving in the middle of an answer closes it, which cancels the prediction.

        Raises:
            OSError: it cannot be opened.
        """
        connection = await self._take()
        try:
            yield connection
        finally:
            if connection.reusable:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Closes those that are idle."""
        while self._idle:
            self._idle.pop().close()

    async def _take(self) -> Connection:
        # The one that was used last is the least likely to have been closed by the server.
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._endpoint.host, self._endpoint.port)
        return connection


def _parse_head(data: bytes) -> Head:
    first, *lines = data.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not status.isdecimal():
        raise WireError(f"the server does not answer in HTTP/1.1: {first[:80]!r}")
    fields = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    keeps_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Head(int(status), headers, keeps_alive)


def _number(text: str | bytes, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise WireError(f"the server gave {text[:40]!r} as a length")
    return number
