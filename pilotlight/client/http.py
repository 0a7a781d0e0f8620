"""Requests to an HTTP API, and the rules for retrying them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2

from pilotlight.client.connection import Timeouts
from pilotlight.client.errors import mapped_errors, raise_for_status
from pilotlight.errors import TargetBusyError, TargetError, TargetUnavailableError
from pilotlight.sse import Decoder, ServerSentEvent
from pilotlight.util.backoff import Backoff


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy. Each wait is drawn evenly from 0 to a bound that doubles, so that clients spread out.

    Attributes:
        tries: maximum number of requests, the first included.
        base_s: bound of the first wait in seconds; it doubles with each further one.
        cap_s: the largest bound in seconds.
        patience_s: the longest ``Retry-After`` in seconds that is waited for.
    """

    tries: int = 5
    base_s: float = 0.25
    cap_s: float = 10.0
    patience_s: float = 60.0

    def delay_s(self, failures: int, error: TargetError, *, repeatable: bool, jitter: float) -> float | None:
        """Return the wait in seconds before the next try, or ``None`` to give up.

        Args:
            failures: number of failed tries so far, at least 1.
            error: the last error.
            repeatable: whether the request may take effect twice. A request that did not reach the target, or was
                rejected because the target is busy, may be sent again in any case.
            jitter: random number from 0 to 1.
        """
        if failures >= self.tries or not isinstance(error, TargetBusyError | TargetUnavailableError):
            return None
        if isinstance(error, TargetUnavailableError) and error.sent and not repeatable:
            return None
        asked_s = error.retry_after_s or 0.0
        if asked_s > self.patience_s:
            return None
        return asked_s + Backoff(self.base_s, self.cap_s, spread=1.0).delay_s(failures, jitter=jitter)

    async def wait(self, failures: int, error: TargetError, *, repeatable: bool, until: float | None = None) -> None:
        """Wait for the next try.

        Args:
            failures: as for ``delay_s``.
            error: as for ``delay_s``.
            repeatable: as for ``delay_s``.
            until: latest time of a further try on ``time.monotonic``'s clock; ``None`` for no limit.

        Raises:
            TargetError: ``error``, when there is no further try.
        """
        delay_s = self.delay_s(failures, error, repeatable=repeatable, jitter=random.random())  # noqa: S311 - spreads clients
        if delay_s is None or (until is not None and time.monotonic() + delay_s >= until):
            raise error
        await asyncio.sleep(delay_s)


class Http:
    """Client of a JSON API.

    Args:
        url: the API's URL, without a slash at its end.
        headers: sent with every request; they contain the token.
        timeouts: ``connect_s`` and ``answer_s`` are used.
        retry: when a request is sent again.
        transport: httpx2 transport; tests pass a fake one.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        retry: Retry | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._retry = retry or Retry()
        self._client = httpx2.AsyncClient(
            headers=dict(headers),
            timeout=httpx2.Timeout(timeouts.answer_s, connect=timeouts.connect_s),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            trust_env=not is_local(url),  # a proxy set in the environment is not used for this machine
            transport=transport,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        files: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
        within_s: float | None = None,
    ) -> Any:
        """Send a request and return the JSON of the response, or ``None`` for an empty response.

        Args:
            method: such as ``GET``.
            path: below the API's URL, with a leading slash; or a whole URL.
            body: sent as JSON; ``None`` sends no body.
            headers: additional headers.
            files: parts of a multipart form, as httpx2 takes them.
            repeatable: whether the request may be sent twice; by default whether the method is idempotent.
            within_s: seconds after which no further try begins.

        Raises:
            InputError: the API rejects what was sent.
            TargetError: any other failure.
        """
        if repeatable is None:
            repeatable = method in ("GET", "HEAD", "PUT", "DELETE")
        until = None if within_s is None else time.monotonic() + within_s
        failures = 0
        while True:
            try:
                return await self._call_once(method, path, body, headers, files)
            except TargetError as error:
                failures += 1
                await self._retry.wait(failures, error, repeatable=repeatable, until=until)

    async def _call_once(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None, files: Mapping[str, Any] | None
    ) -> Any:
        if self._client.is_closed:
            raise TargetError(f"{self._url}: the client is closed")
        content = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        with mapped_errors(self._url):
            response = await self._client.request(
                method, self._at(path), content=content, files=files, headers={**kind, **(headers or {})}
            )
        raise_for_status(response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise TargetError(f"{self._url} answered {method} {path} with a body that is not JSON") from None

    @asynccontextmanager
    async def events(
        self, url: str, *, silence_s: float
    ) -> AsyncGenerator[AsyncGenerator[ServerSentEvent, None], None]:
        """Open the stream of server-sent events at ``url``; it is not retried.

        Raises:
            TargetError: the URL cannot be reached, the stream breaks, or it sends nothing for ``silence_s`` seconds.
        """
        timeout = httpx2.Timeout(silence_s, connect=self._client.timeout.connect)
        with mapped_errors(self._url):
            async with self._client.stream(
                "GET", self._at(url), headers={"Accept": "text/event-stream"}, timeout=timeout
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    await response.aread()
                    raise_for_status(response)
                async with aclosing(decoded(response)) as events:
                    yield events

    def _at(self, path: str) -> str:
        return self._url + path if path.startswith("/") else path


async def decoded(response: httpx2.Response) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield a response's events. httpx2's own reader wrongly splits lines at U+2028, U+0085 and others."""
    decoder = Decoder()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            for event in decoder.feed(piece):
                yield event


def is_local(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    host = httpx2.URL(url).host
    return host == "localhost" or host.startswith("127.") or host == "::1"
