"""Connections to a Cog server, at a cost that a gateway and a load generator can afford.

httpx2 needs about 0.8 ms of processor time for a request and an answer in one piece, as much as the Cog server itself
for a trivial prediction, and twice that for a stream. This needs a fraction; as a load generator it reaches what
``wrk`` does (``scripts/agree_load.py`` checks that). One request at a time on a connection, and as many connections as
there are requests in flight: a request that waits for a connection would wait unseen.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from pilotlight.errors import WorkerError
from pilotlight.runtime.http1 import Endpoint, Head, WireError, parse_head, parse_length
from pilotlight.sse import Decoder, ServerSentEvent

__all__ = ["Connection", "Endpoint", "Head", "Pool", "SilenceError", "WireError"]

_LONGEST_HEAD_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_LINE = b"\r\n"
# What follows the content of the last chunk but one.
_LAST_CHUNK = b"\r\n0\r\n\r\n"
# Above this a body is not copied behind its head: a second packet costs less.
_COPIED_BYTES = 64 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class SilenceError(WorkerError):
    """The connection could not be opened, or nothing came over it, for as long as was allowed."""


class Connection(asyncio.Protocol):
    """One connection: ``send`` a request, read its ``head``, then its ``body`` to the end; and again.

    Attributes:
        silence_s: how long to wait for the next byte of an answer; ``None`` for ever.
        ending: whether all that matters of an answer in chunks has been read, so that leaving it is no reason to close.
    """

    def __init__(self) -> None:
        self.silence_s: float | None = None
        self.ending = False
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._lost: WireError | None = None
        self._reusable = True
        self._chunked = False
        self._then: Callable[[Connection], None] | None = None

    @property
    def reusable(self) -> bool:
        """Whether it can take another request: the last answer was read to its end, and it is still open."""
        return self._reusable and not self._data and not self.closed

    @property
    def closed(self) -> bool:
        """Whether it can be used for nothing any more."""
        return self._lost is not None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "this is a bug: not a stream"
        self._transport = transport
        self._socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._chunked:
            self._acknowledge()
        self._wake()
        self._look_for_end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = WireError(f"the connection broke: {exc}" if exc else "the server closed the connection")
        self._wake()
        self._look_for_end()

    def send(self, head: bytes, body: bytes = b"") -> None:
        """Writes a request; returns at once."""
        self._reusable = self.ending = False
        if len(body) <= _COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def close(self) -> None:
        """Drops the connection, at once."""
        self._transport.abort()

    def let_end(self, then: Callable[[Connection], None]) -> None:
        """Calls ``then`` when the last bytes of an answer in chunks have come by themselves, or never will."""
        self._then = then
        self._look_for_end()

    async def head(self) -> Head:
        """The status and the headers of the answer.

        Raises:
            WireError: the connection broke, or it is no answer.
            SilenceError: nothing came for ``silence_s``.
        """
        head = parse_head(await self._until(_END_OF_HEAD))
        self._head = head
        self._chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
        if self._chunked:
            self._acknowledge()
        return head

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The pieces of the body as they come, after the ``head``; raises as that does."""
        if self._chunked:
            while length := parse_length((await self._until(_END_OF_LINE)).partition(b";")[0], 16):
                while length:
                    piece = await self._up_to(length)
                    length -= len(piece)
                    yield piece
                if await self._until(_END_OF_LINE):
                    raise WireError("the server sent a chunk that is longer than it said")
            while await self._until(_END_OF_LINE):  # trailers, which mean nothing to us
                pass
        else:
            length = self._length()
            while length:
                piece = await self._up_to(length)
                length -= len(piece)
                yield piece
        self._reusable = self._head.keeps_alive

    async def read(self) -> bytes:
        """The body as a whole."""
        if self._chunked:
            return b"".join([piece async for piece in self.body()])
        length = self._length()
        while len(self._data) < length:
            await self._more()
        body = bytes(self._data[:length])
        del self._data[:length]
        self._reusable = self._head.keeps_alive
        return body

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """The server-sent events of the body, as they come."""
        decoder = Decoder()
        async with aclosing(self.body()) as pieces:
            async for piece in pieces:
                for event in decoder.feed(piece):
                    yield event

    def _length(self) -> int:
        given = self._head.headers.get("content-length")
        if given is None and self._head.status not in (204, 304):
            raise WireError("the server says neither how long its answer is nor that it comes in chunks")
        return parse_length(given or "0", 10)

    async def _up_to(self, length: int) -> bytes:
        """At least one byte and at most ``length``: what has come."""
        while not self._data:
            await self._more()
        if len(self._data) <= length:
            piece, self._data = self._data, bytearray()
            return bytes(piece)
        piece = self._data[:length]
        del self._data[:length]
        return bytes(piece)

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
        waiter = self._waiter = self._loop.create_future()
        # Not asyncio.timeout, which takes three times as long, and this is done for every piece of an answer.
        timer = None if self.silence_s is None else self._loop.call_later(self.silence_s, self._give_up, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(SilenceError(f"nothing came for {self.silence_s:g} s"))

    def _look_for_end(self) -> None:
        if self._then is None:
            return
        if self._data == _LAST_CHUNK:
            self._data.clear()
            self._reusable = self._head.keeps_alive
        elif self._lost is None and _LAST_CHUNK.startswith(self._data):
            return
        then, self._then = self._then, None
        then(self)

    def _acknowledge(self) -> None:
        """Acknowledges at once what has come.

        Cog's server leaves Nagle's algorithm on: it holds an event of a stream back until the one before is
        acknowledged, which Linux puts off by 40 ms on a connection in use. The kernel forgets this each time.
        """
        if _QUICKACK is not None and not self._transport.is_closing():
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pool:
    """Connections to one server; every request that finds none idle opens one.

    Args:
        endpoint: of the server.
        connect_s: how long that may take; ``None`` leaves it to the system.
    """

    def __init__(self, endpoint: Endpoint, *, connect_s: float | None = None) -> None:
        self._endpoint = endpoint
        self._connect_s = connect_s
        self._idle: list[Connection] = []
        self._ending: set[Connection] = set()

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    @asynccontextmanager
    async def connection(self, *, silence_s: float | None = None) -> AsyncIterator[Connection]:
        """A connection for one request; leaving in the middle of an answer closes it, which cancels the prediction.

        Args:
            silence_s: how long to wait for the next byte of the answer.

        Raises:
            OSError: it cannot be opened.
            SilenceError: the server did not take it for ``connect_s``.
        """
        connection = await self._take()
        connection.silence_s = silence_s
        try:
            yield connection
        finally:
            # A new connection is better than one whose end comes 40 ms later, as it does without the option.
            if connection.ending and not connection.reusable and _QUICKACK is not None:
                self._ending.add(connection)
                connection.let_end(self._keep)
            else:
                self._keep(connection)

    def close(self) -> None:
        """Closes those that nobody uses."""
        for connection in [*self._idle, *self._ending]:
            connection.close()
        self._idle.clear()

    def _keep(self, connection: Connection) -> None:
        self._ending.discard(connection)
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _take(self) -> Connection:
        # The one that was used last is the least likely to have been closed by the server.
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(self._connect_s)
        try:
            async with limit:
                _, connection = await loop.create_connection(Connection, self._endpoint.host, self._endpoint.port)
        except TimeoutError:
            if not limit.expired():  # the system's own, which is an OSError
                raise
            raise SilenceError(f"it takes no connection for {self._connect_s:g} s") from None
        return connection
