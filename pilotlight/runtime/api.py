"""The HTTP dialogue with one Cog server."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager

import httpx2

from pilotlight.errors import SetupFailedError, WorkerBusyError, WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.runtime.events import Event, decode_event, decode_prediction, replay
from pilotlight.runtime.health import Health, decode_health
from pilotlight.runtime.request import refusal

_SSE = "text/event-stream"
# coglet frees a slot just after it has sent the answer: half of the requests sent at once meet 409, none after 10 ms.
_BUSY_RETRY_S = 0.002
# That often a 409 is what it seems; after that it may be the 409 of a server whose Python half is gone.
_BUSY_RETRIES_BEFORE_DOUBT = 25
# The server sends a comment every 15 s, whatever the predictor does.
_SILENCE_S = 60.0
_CONNECT_S = 10.0
# Cog's own limit for the predictor's healthcheck is 5 s, for its answer 10 s.
_HEALTH_S = 15.0
# Every answer holds all that setup() has printed. Above this it takes a second to read, each time.
_HEALTH_BYTES = 16 << 20


class CogApi:
    """A Cog server at a URL. Streams as server-sent events where asked to and the server agrees, else in one piece."""

    def __init__(self, url: str, *, sse: bool = True) -> None:
        self._sse = sse
        self._client = httpx2.AsyncClient(
            base_url=url,
            trust_env=False,  # a proxy of the environment is not for 127.0.0.1
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # never used; the default one reads certificates for 0.1 s
            timeout=httpx2.Timeout(None, connect=_CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def health(self) -> Health:
        """Asks the server how it is.

        Raises:
            WorkerCrashedError: nothing answers.
            WorkerTimeoutError: the answer takes too long.
            SetupFailedError: setup has printed so much that the answer, which holds it all, is of no use.
        """
        with _mapped_errors():
            async with self._client.stream("GET", "/health-check", timeout=_HEALTH_S) as response:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _HEALTH_BYTES:
                        raise SetupFailedError(
                            f"the server's answer to a health check is longer than {_HEALTH_BYTES >> 20} MiB, because "
                            "it holds what setup() has printed; print less"
                        )
            return decode_health(json.loads(body))

    async def cancel(self, prediction_id: str) -> bool:
        """Asks the server to cancel; ``False`` when it does not run that prediction (any more)."""
        with _mapped_errors():
            response = await self._client.post(f"/predictions/{prediction_id}/cancel", timeout=_HEALTH_S)
            return response.status_code == httpx2.codes.OK

    async def events(self, prediction_id: str, body: bytes, *, busy_timeout_s: float) -> AsyncGenerator[Event, None]:
        """Runs one prediction; closing the iterator early drops the connection, which cancels it.

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
                async with self._request(prediction_id, body, sse=sse) as response:
                    if response.status_code == httpx2.codes.OK:
                        async with aclosing(_read(response)) as events:
                            async for event in events:
                                yield event
                        return
                    await response.aread()
            if response.status_code == httpx2.codes.NOT_ACCEPTABLE and sse:
                self._sse = False
                continue
            _raise_unless_busy(response)
            refused += 1
            if refused % _BUSY_RETRIES_BEFORE_DOUBT == 0 and (await self.health()).lost:
                raise WorkerCrashedError("the Python process of the Cog server is gone")
            if time.monotonic() >= give_up_at:
                raise WorkerBusyError(f"every slot of the Cog server stayed taken for {busy_timeout_s:g} s")
            await asyncio.sleep(_BUSY_RETRY_S)

    def _request(self, prediction_id: str, body: bytes, *, sse: bool) -> AbstractAsyncContextManager[httpx2.Response]:
        headers = {"Content-Type": "application/json"}
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        if sse:
            headers["Accept"] = _SSE
            timeout = httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S)
        return self._client.stream(
            "PUT", f"/predictions/{prediction_id}", content=body, headers=headers, timeout=timeout
        )


async def _read(response: httpx2.Response) -> AsyncGenerator[Event, None]:
    if not response.headers["Content-Type"].startswith(_SSE):
        for event in replay(decode_prediction(json.loads(await response.aread()))):
            yield event
        return
    # No limit for the size of an event: an output of any size is one.
    async for sent in httpx2.EventSource(response, max_event_size=None):
        decoded = decode_event(sent.event, sent.data)
        if decoded is not None:
            yield decoded


def _raise_unless_busy(response: httpx2.Response) -> None:
    """Returns for a 409, raises what fits for any other refusal."""
    status = response.status_code
    if status == httpx2.codes.CONFLICT:
        return
    try:
        body = response.json()
    except ValueError:
        body = response.text
    if status in (httpx2.codes.UNPROCESSABLE_CONTENT, httpx2.codes.BAD_REQUEST, httpx2.codes.CONTENT_TOO_LARGE):
        raise refusal(body)
    said = body.get("error", body) if isinstance(body, dict) else body
    if status == httpx2.codes.SERVICE_UNAVAILABLE:
        raise WorkerError(f"the Cog server is not ready: {said}")
    raise WorkerError(f"the Cog server answered {status}: {str(said)[:400]}")


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """What the HTTP client and the JSON of the answer can raise, in our words."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise WorkerTimeoutError(f"the Cog server does not answer ({type(error).__name__})") from error
    except httpx2.TransportError as error:
        raise WorkerCrashedError(f"the connection to the Cog server broke: {error or type(error).__name__}") from error
    except (ValueError, KeyError) as error:
        raise WorkerError(f"the Cog server sent an answer that makes no sense: {error}") from error
