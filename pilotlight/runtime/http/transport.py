"""Connections to a Cog server, at a cost that a gateway and a load generator can afford.

httpx2 needs about 0.8 ms of processor time for a request and an answer in one piece, as much as the Cog server itself
for a trivial prediction, and twice that for a stream. This needs a fraction; as a load generator it reaches what
``wrk`` does (``scripts/checks/agree_load.py`` checks that). One request at a time on a connection, and as many
connections as there are requests in flight: a request that waits for a connection would wait unseen.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from pilotlight.errors import WorkerError
from pilotlight.runtime.http.http1 import Answer, Endpoint, Head, WireError
from pilotlight.runtime.http.source_port import SourcePort
from pilotlight.sse import Decoder, ServerSentEvent

__all__ = ["Endpoint", "Head", "HttpConnection", "Pool", "SilenceError", "WireError"]

# Above this a body is not copied behind its head: a second packet costs less.
_COPIED_BYTES = 64 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class SilenceError(WorkerError):
    """The connection could not be opened, or nothing came over it, for as long as was allowed."""


class HttpConnection(asyncio.Protocol):
    """One connection: ``send`` a request, read its ``head``, then its ``body`` to the end; and again.

    Attributes:
        silence_s: how long to wait for the next byte of an answer; ``None`` for ever.
        ending: whether all that matters of an answer in chunks has been read, so that leaving it is no reason to close.
    """

    def __init__(self) -> None:
        self.silence_s: float | None = None
        self.ending = False
        self._loop = asyncio.get_running_loop()
        self._answer: Answer | None = None
        self._has_stray_bytes = False
        self._waiter: asyncio.Future[None] | None = None
        self._silent_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._lost: WireError | None = None
        self._reusable = True
        self._then: Callable[[HttpConnection], None] | None = None

    @property
    def reusable(self) -> bool:
        """Whether it can take another request: the last answer was read to its end, and it is still open."""
        return self._reusable and not self._has_stray_bytes and not self.closed

    @property
    def closed(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._lost is not None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own loop and others have no class of it in common.
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.over:
            self._has_stray_bytes = True
        else:
            try:
                self._answer.feed(data)
            except WireError as error:
                self._lost = error
            self._has_stray_bytes = self._answer.stray
        self._wake()
        self._look_for_end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost is None:
            self._lost = WireError(f"the connection broke: {exc}" if exc else "the server closed the connection")
        if self._timer is not None:
            self._timer.cancel()
        self._wake()
        self._look_for_end()

    def send(self, head: bytes, body: bytes = b"") -> None:
        """Write a request; returns at once."""
        self._reusable = self.ending = False
        self._answer = Answer()
        if len(body) <= _COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def close(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def let_end(self, then: Callable[[HttpConnection], None]) -> None:
        """Call ``then`` when the last bytes of an answer in chunks have come, or the connection has broken."""
        self._then = then
        self._look_for_end()
        if self._then is not None:
            self._acknowledge()

    async def head(self) -> Head:
        """Return the status and the headers of the answer.

        Raises:
            WireError: the connection broke, or it is no answer.
            SilenceError: nothing came for ``silence_s``.
        """
        answer = self._asked
        while answer.head is None:
            await self._more()
        return answer.head

    async def body(self) -> AsyncGenerator[bytes, None]:
        """Yield the pieces of the body as they come, after the ``head``; raises as that does."""
        while piece := await self.next_piece():
            yield piece

    async def next_piece(self) -> bytes:
        """Return the next piece of the body as it comes; ``b""`` after its end."""
        while not (piece := self._take()) and not self._over:
            await self._more()
        return piece

    async def read(self) -> bytes:
        """Return the whole body."""
        pieces = [self._take()]
        while not self._over:
            await self._more()
            pieces.append(self._take())
        return b"".join(pieces)

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield the server-sent events of the body as they come."""
        decoder = Decoder()
        while True:
            for event in decoder.feed(self._take()):
                yield event
            if self._over:
                return
            await self._more()

    @property
    def _over(self) -> bool:
        return self._answer is not None and self._answer.over

    @property
    def _asked(self) -> Answer:
        assert self._answer is not None, "this is a bug: a request comes before its answer"
        return self._answer

    def _take(self) -> bytes:
        """Return the part of the body that has come and was not yet taken."""
        answer = self._asked
        if answer.over:
            self._reusable = answer.head is not None and answer.head.keeps_alive
        return answer.take()

    async def _more(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._acknowledge()
        self._waiter = self._loop.create_future()
        self._set_timer()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self) -> None:
        """Set one timer for many waits: one for each wait would cost as much as the rest of the wait."""
        self._silent_at = math.inf if self.silence_s is None else self._loop.time() + self.silence_s
        if self._timer is not None and self._timer.when() > self._silent_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and self._silent_at < math.inf:
            self._timer = self._loop.call_at(self._silent_at, self._look_for_silence)

    def _look_for_silence(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._silent_at == math.inf:
            return
        if self._loop.time() < self._silent_at:
            self._timer = self._loop.call_at(self._silent_at, self._look_for_silence)
        else:
            self._waiter.set_exception(SilenceError(f"nothing came for {self.silence_s:g} s"))

    def _look_for_end(self) -> None:
        if self._then is None:
            return
        if self._answer is None or self._take():
            self._reusable = False
        elif not self._over and self._lost is None:
            return
        then, self._then = self._then, None
        then(self)

    def _acknowledge(self) -> None:
        """Acknowledge at once what has come of an answer in chunks.

        Cog's server leaves Nagle's algorithm on: it holds an event of a stream back until the one before is
        acknowledged, which Linux puts off by 40 ms on a connection in use. The kernel forgets this each time.
        """
        if (
            self._answer is not None
            and self._answer.chunked
            and _QUICKACK is not None
            and not self._transport.is_closing()
        ):
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pool:
    """Connections to one server; every request that finds none idle opens one.

    Args:
        endpoint: of the server.
        connect_s: how long that may take; ``None`` leaves it to the system.
        source: the port that connections come from; any by default.
    """

    def __init__(self, endpoint: Endpoint, *, connect_s: float | None = None, source: SourcePort | None = None) -> None:
        self._endpoint = endpoint
        self._connect_s = connect_s
        self._source = source
        self._idle: list[HttpConnection] = []
        self._ending: set[HttpConnection] = set()

    @property
    def idle(self) -> int:
        """The number of connections that wait for a request."""
        return len(self._idle)

    @asynccontextmanager
    async def connection(self, *, silence_s: float | None = None) -> AsyncIterator[HttpConnection]:
        """Lend a connection for one request; leaving in mid-answer closes it, which cancels the prediction.

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
        """Close the connections that are not in use."""
        for connection in [*self._idle, *self._ending]:
            connection.close()
        self._idle.clear()

    def _keep(self, connection: HttpConnection) -> None:
        self._ending.discard(connection)
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _take(self) -> HttpConnection:
        # The one that was used last is the least likely to have been closed by the server.
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.close()
        limit = asyncio.timeout(self._connect_s)
        try:
            async with limit:
                return await self._open()
        except TimeoutError:
            if not limit.expired():  # the system's own, which is an OSError
                raise
            raise SilenceError(f"it takes no connection for {self._connect_s:g} s") from None

    async def _open(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        address = self._endpoint.host, self._endpoint.port
        if self._source is None:
            _, connection = await loop.create_connection(HttpConnection, *address)
            return connection
        bound = self._source.socket()
        try:
            await loop.sock_connect(bound, address)
            _, connection = await loop.create_connection(HttpConnection, sock=bound)
        except BaseException:
            bound.close()
            raise
        return connection
