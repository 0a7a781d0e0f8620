"""Requests to an HTTP API: what may be sent again, and when, and what its failures are in our words."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2

from pilotlight.client.connection import Timeouts
from pilotlight.errors import (
    InputError,
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
)
from pilotlight.sse import Decoder, ServerSentEvent

_LONGEST_DETAIL = 600
# Where the known APIs put the words of a failure.
_WORDS_AT = ("detail", "error", "message", "title")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently; waits are drawn evenly from 0 to a doubling bound, so that clients spread out.

    Attributes:
        tries: requests at most, the first one included.
        base_s: bound of the first wait, doubled by each further one.
        cap_s: the largest bound.
        patience_s: the longest wait that a target may ask for by ``Retry-After``.
    """

    tries: int = 5
    base_s: float = 0.25
    cap_s: float = 10.0
    patience_s: float = 60.0

    def delay_s(self, failures: int, error: TargetError, *, repeatable: bool, jitter: float) -> float | None:
        """The wait before the next try, ``None`` for giving up.

        Args:
            failures: so far, 1 or more.
            error: the last one.
            repeatable: whether doing it twice does no harm. What never reached the target, or was turned away
                because it is busy, may be sent again in any case.
            jitter: 0 to 1, drawn by the caller.
        """
        if failures >= self.tries:
            return None
        asked_s = 0.0
        if isinstance(error, TargetBusyError):
            asked_s = error.retry_after_s or 0.0
        elif not isinstance(error, TargetUnavailableError) or (error.sent and not repeatable):
            return None
        if asked_s > self.patience_s:
            return None
        return asked_s + jitter * min(self.cap_s, self.base_s * 2.0 ** (failures - 1))


class Http:
    """A JSON API at ``url``.

    Args:
        url: without a slash at its end.
        headers: of every request; tokens are here.
        timeouts: ``connect_s`` and ``answer_s`` are used.
        retry: the policy.
        transport: of httpx2, for tests of what this module does with failures.
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
            trust_env=not is_local(url),  # a proxy of the environment is not for this machine
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
    ) -> Any:
        """The JSON that the API answers; ``None`` for an empty answer.

        Args:
            method: such as ``GET``.
            path: below the API's URL, with a slash; or a whole URL.
            body: sent as JSON; ``None`` for none.
            headers: in addition.
            files: for a multipart form, as httpx2 takes them.
            repeatable: whether it may be sent twice; by default whether the method says so.

        Raises:
            InputError: the API refuses what was sent.
            TargetError: anything else that went wrong.
        """
        if repeatable is None:
            repeatable = method in ("GET", "HEAD", "PUT", "DELETE")
        failures = 0
        while True:
            try:
                return await self._call_once(method, path, body, headers, files)
            except TargetError as error:
                failures += 1
                delay_s = self._retry.delay_s(failures, error, repeatable=repeatable, jitter=random.random())  # noqa: S311 - spreads clients
                if delay_s is None:
                    raise
            await asyncio.sleep(delay_s)

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
            raise TargetError(f"{self._url} answered {method} {path} with something that is not JSON") from None

    @asynccontextmanager
    async def events(
        self, url: str, *, silence_s: float
    ) -> AsyncGenerator[AsyncGenerator[ServerSentEvent, None], None]:
        """The server-sent events at ``url``; no try is repeated.

        Raises:
            TargetError: it cannot be reached, breaks, or says nothing for ``silence_s``.
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
    """The events of a stream. httpx2's own reader takes U+2028, U+0085 and others within a text for ends of lines."""
    decoder = Decoder()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            for event in decoder.feed(piece):
                yield event


def is_local(url: str) -> bool:
    """Whether it is an address of this machine."""
    host = httpx2.URL(url).host
    return host == "localhost" or host.startswith("127.") or host == "::1"


@contextmanager
def mapped_errors(where: str) -> Iterator[None]:
    """What the HTTP client raises, in our words."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        raise TargetUnavailableError(f"{where} cannot be reached: {_words(error)}", sent=False) from error
    except httpx2.TransportError as error:
        raise TargetUnavailableError(f"the connection to {where} broke: {_words(error)}") from error
    except httpx2.InvalidURL as error:
        raise TargetError(f"{where} gave a URL that is none: {error}") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def raise_for_status(response: httpx2.Response) -> None:
    """Returns for an answer that is no failure.

    Raises:
        InputError: 400, 413, 422.
        TargetError: the kind of it that fits.
    """
    status = response.status_code
    if status < HTTPStatus.BAD_REQUEST:
        return
    words = f"{response.request.url.host} answered {status}: {_detail(response)}"
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY):
        raise InputError("input", _detail(response))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PAYMENT_REQUIRED):
        raise TargetAuthError(words)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise TargetMissingError(words)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TargetBusyError(words, retry_after_s=_retry_after_s(response))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TargetUnavailableError(words)
    raise TargetError(words)


def _detail(response: httpx2.Response) -> str:
    """What an API says of a failure, in the ways that the known ones say it."""
    text = said_in(response.text).strip() or HTTPStatus(response.status_code).phrase
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]} ..."


def said_in(said: Any) -> str:
    """The words of a failure's body: text, or JSON, which may have the body of another failure in it."""
    if isinstance(said, str):
        with suppress(ValueError):
            inner = json.loads(said)
            if isinstance(inner, Mapping):
                return said_in(inner)
        return said
    if isinstance(said, Mapping):
        for key in _WORDS_AT:
            if said.get(key):
                return said_in(said[key])
    return json.dumps(said, ensure_ascii=False)


def _retry_after_s(response: httpx2.Response) -> float | None:
    """The seconds of ``Retry-After``; its other form, a date, is not used by the APIs that we speak to."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
