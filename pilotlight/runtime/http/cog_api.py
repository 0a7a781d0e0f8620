"""The HTTP dialogue with one Cog server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from http import HTTPStatus

from pilotlight.errors import SetupFailedError, WorkerBusyError, WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.runtime.events import Completed, Feed, decode_event, decode_prediction, replay
from pilotlight.runtime.health import Health, decode_health
from pilotlight.runtime.http.request import refusal
from pilotlight.runtime.http.source_port import SourcePort
from pilotlight.runtime.http.transport import Endpoint, Head, HttpConnection, Pool, SilenceError, WireError
from pilotlight.sse import Decoder
from pilotlight.types import Prediction

_SSE = "text/event-stream"
# coglet frees a slot just after it has sent the answer: half of the requests sent at once meet 409, none after 10 ms.
_BUSY_RETRY_S = 0.002
# That often a 409 is what it seems; after that it may be the 409 of a server whose Python half is gone. And that often
# the server is asked at least, however long it takes on a busy machine: one 409 after a second says nothing.
_BUSY_RETRIES_BEFORE_DOUBT = 25
# The server sends a comment every 15 s, whatever the predictor does.
_SILENCE_S = 60.0
_CONNECT_S = 10.0
# Cog's own limit for the predictor's healthcheck is 5 s, for its answer 10 s.
_HEALTH_S = 15.0
# Every answer holds all that setup() has printed. Above this it takes a second to read, each time.
_HEALTH_BYTES = 16 << 20


class CogApi:
    """A Cog server. Streams as server-sent events where asked to and the server agrees, else in one piece.

    Args:
        url: its address.
        sse: whether to ask for server-sent events.
        source: the port that connections come from; any by default.
    """

    def __init__(self, url: str, *, sse: bool = True, source: SourcePort | None = None) -> None:
        self._sse = sse
        self._endpoint = Endpoint.of(url)
        self._pool = Pool(self._endpoint, connect_s=_CONNECT_S, source=source)

    async def close(self) -> None:
        """Close the connections that are idle; a connection in use closes when its request ends."""
        self._pool.close()

    async def health(self) -> Health:
        """Return the server's health.

        Raises:
            WorkerCrashedError: nothing answers.
            WorkerTimeoutError: the answer takes too long.
            SetupFailedError: setup has printed so much that the answer, which holds it all, is of no use.
        """
        with _mapped_errors():
            async with self._pool.connection(silence_s=_HEALTH_S) as connection:
                connection.send(self._endpoint.head("GET", "/health-check"))
                await connection.head()
                body = bytearray()
                async with aclosing(connection.body()) as pieces:
                    async for piece in pieces:
                        body += piece
                        if len(body) > _HEALTH_BYTES:
                            raise SetupFailedError(
                                f"the server's answer to a health check is longer than {_HEALTH_BYTES >> 20} MiB, "
                                "because it holds what setup() has printed; print less"
                            )
            return decode_health(json.loads(body))

    async def cancel(self, prediction_id: str) -> bool:
        """Ask the server to cancel a prediction; returns ``False`` when it is not running there."""
        with _mapped_errors():
            async with self._pool.connection(silence_s=_HEALTH_S) as connection:
                connection.send(self._endpoint.head("POST", f"/predictions/{prediction_id}/cancel"))
                head = await connection.head()
                await connection.read()
                return head.status == HTTPStatus.OK

    async def run(self, prediction_id: str, body: bytes, feed: Feed, *, busy_timeout_s: float) -> Prediction:
        """Run one prediction into ``feed`` and return it; cancelling this drops the connection, which cancels it.

        Raises:
            InputError: the server refuses the input.
            WorkerBusyError: no slot came free within ``busy_timeout_s``.
            WorkerCrashedError: the connection broke, or the Python half is gone.
            WorkerTimeoutError: the server has gone silent.
            WorkerError: it is not ready, or answers what no Cog server should.
        """
        give_up_at = time.monotonic() + busy_timeout_s
        refused = 0
        while True:
            sse = self._sse
            with _mapped_errors():
                async with self._pool.connection(silence_s=_SILENCE_S if sse else None) as connection:
                    connection.send(self._head(prediction_id, len(body), sse=sse), body)
                    head = await connection.head()
                    if head.status == HTTPStatus.OK:
                        return await _read(connection, head, feed)
                    refused_with = await connection.read()
            if head.status == HTTPStatus.NOT_ACCEPTABLE and sse:
                self._sse = False
                continue
            _raise_unless_busy(head.status, refused_with)
            refused += 1
            if refused % _BUSY_RETRIES_BEFORE_DOUBT == 0 and (await self.health()).lost:
                raise WorkerCrashedError("the Python process of the Cog server is gone")
            if refused >= _BUSY_RETRIES_BEFORE_DOUBT and time.monotonic() >= give_up_at:
                raise WorkerBusyError(f"every slot of the Cog server stayed taken for {busy_timeout_s:g} s")
            await asyncio.sleep(_BUSY_RETRY_S)

    def _head(self, prediction_id: str, length: int, *, sse: bool) -> bytes:
        accept = f"Accept: {_SSE}\r\n" if sse else ""
        return self._endpoint.head("PUT", f"/predictions/{prediction_id}", length=length, headers=accept)


async def _read(connection: HttpConnection, head: Head, feed: Feed) -> Prediction:
    """The answer to a prediction, event by event as they come."""
    if not head.headers.get("content-type", "").startswith(_SSE):
        prediction = decode_prediction(json.loads(await connection.read()))
        for replayed in replay(prediction):
            if not isinstance(replayed, Completed):
                feed(replayed)
        return prediction
    decoder = Decoder()
    while piece := await connection.next_piece():
        for sent in decoder.feed(piece):
            event = decode_event(sent.event, sent.data)
            if isinstance(event, Completed):
                connection.ending = True
                return event.prediction
            if event is not None:
                feed(event)
    # As it does when it is killed.
    raise WorkerCrashedError("the Cog server ended the stream before the prediction had ended")


def _raise_unless_busy(status: int, answer: bytes) -> None:
    """Return for a 409; raise the error that stands for any other refusal."""
    if status == HTTPStatus.CONFLICT:
        return
    try:
        body = json.loads(answer)
    except ValueError:
        body = answer.decode("utf-8", "replace")
    if status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        raise refusal(body)
    said = body.get("error", body) if isinstance(body, dict) else body
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise WorkerError(f"the Cog server is not ready: {said}")
    raise WorkerError(f"the Cog server answered {status}: {str(said)[:400]}")


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """Map the errors of the connection and of the answer's JSON to ours."""
    try:
        yield
    except SilenceError as error:
        raise WorkerTimeoutError(f"the Cog server does not answer: {error}") from error
    except (WireError, OSError) as error:
        raise WorkerCrashedError(f"the connection to the Cog server broke: {error}") from error
    except (ValueError, KeyError) as error:
        raise WorkerError(f"the Cog server sent an answer that cannot be parsed: {error}") from error
