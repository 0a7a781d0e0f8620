"""Send one prediction of a load in one of Cog's three request modes, from the send to the last byte."""

from __future__ import annotations

import asyncio
import errno
import json
import time
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Literal, Protocol

from pilotlight.bench.load.records import RequestRecord
from pilotlight.bench.load.turns import SlotQueue
from pilotlight.bench.load.webhook import Receiver
from pilotlight.errors import WorkerError
from pilotlight.runtime import Completed, Output, new_prediction_id
from pilotlight.runtime.events import decode_event, decode_prediction
from pilotlight.runtime.http.request import encode_body
from pilotlight.runtime.http.transport import Endpoint, Head, HttpConnection, Pool

__all__ = ["AsyncMode", "Mode", "PlainMode", "RequestMode", "Sender", "StreamMode"]

Mode = Literal["plain", "stream", "async"]

_BUSY = 409
_REJECTIONS = frozenset({_BUSY, 429, 503})
_SSE = "text/event-stream"
# Errors of the generator's own limits, which the server does not cause.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_SHOWN_BYTES = 200


class RequestMode(Protocol):
    """A way of requesting a prediction."""

    async def exchange(self, connection: HttpConnection, record: RequestRecord) -> None:
        """Send one request and read its answer to the end; record its outcome and times in ``record``.

        Raises:
            WorkerError: the connection broke, or the answer is invalid.
        """
        ...


class Sender:
    """Sends predictions, and queues those that the server refuses as busy if a queue is given.

    Args:
        pool: the connections to the server.
        way: the request mode.
        turns: the queue; with ``None`` a refusal is final.
        timeout_s: the time limit of one request, including the wait in the queue.

    Attributes:
        succeeded: the number of successful predictions so far.
    """

    def __init__(self, pool: Pool, way: RequestMode, *, turns: SlotQueue | None, timeout_s: float) -> None:
        self._pool = pool
        self._way = way
        self._turns = turns
        self._timeout_s = timeout_s
        self.succeeded = 0

    async def send(self, record: RequestRecord) -> None:
        """Send one request and record its outcome in ``record``; raise nothing but a cancellation."""
        record.started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                await (self._try(record) if self._turns is None else self._queue(record, self._turns))
        except TimeoutError:
            record.end("timed_out", f"no answer within {self._timeout_s:g} s")
        except OSError as error:
            # No byte of it was sent.
            record.started, record.sent = (None, None) if error.errno in _OURS else (record.started, None)
            record.end("not_sent" if error.errno in _OURS else "error", f"no connection: {error}")
        except (WorkerError, ValueError, KeyError) as error:
            record.end("error", str(error) or type(error).__name__)
        if record.done is None:
            record.done = time.monotonic() if record.outcome != "not_sent" else None
        self.succeeded += record.outcome == "succeeded"

    async def _queue(self, record: RequestRecord, turns: SlotQueue) -> None:
        turn = await turns.enter()
        try:
            await self._try(record)
            while record.http_status == _BUSY:
                record.refusals += 1
                record.sent = record.done = None
                await turns.refused(turn)
                await self._try(record)
        finally:
            turns.leave()

    async def _try(self, record: RequestRecord) -> None:
        record.http_status = None
        async with self._pool.connection() as connection:
            await self._way.exchange(connection, record)


class PlainMode:
    """``POST /predictions``, answered when the prediction has ended."""

    def __init__(self, endpoint: Endpoint, inputs: Mapping[str, Any]) -> None:
        self._request = endpoint.post("/predictions", encode_body(inputs))

    async def exchange(self, connection: HttpConnection, record: RequestRecord) -> None:
        record.sent = time.monotonic()
        connection.send(self._request)
        head = await connection.head()
        body = await connection.read()
        record.done = time.monotonic()
        record.http_status = head.status
        if head.status == HTTPStatus.OK:
            record.finish(decode_prediction(json.loads(body)))
        else:
            _refuse(record, head, body)


class StreamMode:
    """``POST /predictions`` with ``Accept: text/event-stream``: outputs arrive one by one."""

    def __init__(self, endpoint: Endpoint, inputs: Mapping[str, Any]) -> None:
        self._request = endpoint.post("/predictions", encode_body(inputs), f"Accept: {_SSE}\r\n")

    async def exchange(self, connection: HttpConnection, record: RequestRecord) -> None:
        record.sent = time.monotonic()
        connection.send(self._request)
        head = await connection.head()
        record.http_status = head.status
        if head.status != HTTPStatus.OK or not head.headers.get("content-type", "").startswith(_SSE):
            body = await connection.read()
            record.done = time.monotonic()
            if head.status == HTTPStatus.OK:
                record.end("error", f"the server does not stream: it answered with {head.headers.get('content-type')}")
            else:
                _refuse(record, head, body)
            return
        async with aclosing(connection.events()) as events:
            async for sent in events:
                now = time.monotonic()
                event = decode_event(sent.event, sent.data)
                if isinstance(event, Output):
                    record.outputs_at.append(now)
                elif isinstance(event, Completed):
                    record.done = now
                    record.finish(event.prediction)
        if record.done is None:
            raise WorkerError("the stream ended before the prediction did")


class AsyncMode:
    """``POST /predictions`` with ``Prefer: respond-async``: accepted at once, and ended by a call of the webhook."""

    def __init__(self, endpoint: Endpoint, inputs: Mapping[str, Any], receiver: Receiver) -> None:
        self._endpoint = endpoint
        self._body = encode_body(inputs)
        self._receiver = receiver

    async def exchange(self, connection: HttpConnection, record: RequestRecord) -> None:
        prediction_id = new_prediction_id()
        asked = {"id": prediction_id, "webhook": self._receiver.url, "webhook_events_filter": ["completed"]}
        body = json.dumps(asked).encode()[:-1] + b"," + self._body[1:]
        with self._receiver.expect(prediction_id) as arrival:
            record.sent = time.monotonic()
            connection.send(self._endpoint.post("/predictions", body, "Prefer: respond-async\r\n"))
            head = await connection.head()
            answer = await connection.read()
            record.http_status = head.status
            if head.status == HTTPStatus.ACCEPTED:
                record.done, prediction = await arrival
                record.finish(prediction)
                return
        record.done = time.monotonic()
        if head.status == HTTPStatus.OK:
            record.end("error", "the server does not predict asynchronously: it answered after the prediction ended")
        else:
            _refuse(record, head, answer)


def _refuse(record: RequestRecord, head: Head, body: bytes) -> None:
    said = body[:_SHOWN_BYTES].decode("utf-8", "replace")
    record.end("rejected" if head.status in _REJECTIONS else "error", f"HTTP {head.status}: {said}")
