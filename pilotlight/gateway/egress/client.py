"""HTTP to URLs that callers have given: webhooks, and files that are inputs.

A name is looked up once for each connection, its addresses are checked, and the connection goes to an address that
was checked: a name that resolves to another address a moment later (DNS rebinding) has no effect. Redirects are
checked in the same way. Proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import httpcore2

from pilotlight.errors import PilotlightError
from pilotlight.gateway.egress.addresses import EgressPolicy, as_address, check_url, require_allowed
from pilotlight.gateway.egress.special_networks import Address

Resolve = Callable[[str, int], Awaitable[list[Address]]]

_CONNECT_S = 5.0
# For the next bytes of an answer.
_SILENCE_S = 30.0
_MOST_REDIRECTS = 5
_MOST_CONNECTIONS = 256
# A look-up blocks a thread until the name server answers, so look-ups have threads of their own.
_MOST_LOOK_UPS = 16
# Only the status of a receiver's answer counts; this much of the body is read so that the connection can be reused.
_ANSWER_BYTES = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
# Good answers without a content.
_EMPTY = (204, 205)
_KEPT_IN_URLS = "!#$%&'()*+,/:;=?@[]~"


class UnreachableError(PilotlightError):
    """A request to a URL had no good answer."""


class EgressClient:
    """An HTTP client for the addresses that a policy allows; ``async with`` closes its connections.

    Args:
        policy: which addresses may be reached.
        resolve: returns the addresses of a host; by default as the system does.
    """

    def __init__(self, policy: EgressPolicy, *, resolve: Resolve | None = None) -> None:
        self.policy = policy
        self._look_ups = ThreadPoolExecutor(_MOST_LOOK_UPS, thread_name_prefix="gateway-names")
        self._pool = httpcore2.AsyncConnectionPool(
            network_backend=_CheckedBackend(policy, resolve or self._look_up), max_connections=_MOST_CONNECTIONS
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()
        self._look_ups.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float) -> int:
        """Send a POST request, and return the status of the answer; a redirect is not followed.

        Raises:
            RefusedUrlError: the policy does not allow the URL, or where it redirects to.
            UnreachableError: there was no answer in time.
        """
        check_url(url, self.policy)
        async with _bounded(timeout_s), self._asked("POST", url, headers, body) as response:
            await _read_some(response)
            return int(response.status)

    @contextlib.asynccontextmanager
    async def get(self, url: str, *, timeout_s: float) -> AsyncIterator[httpcore2.Response]:
        """Send a GET request, follow redirects, and yield the answer with the content, to be read within ``timeout_s``.

        Any status from 200 to 299 counts that has the whole content.

        Raises:
            RefusedUrlError: the policy does not allow the URL, or where it redirects to.
            UnreachableError: there was no such answer in time.
        """
        headers = {"User-Agent": "pilotlight", "Accept": "*/*"}
        async with _bounded(timeout_s), contextlib.AsyncExitStack() as stack:
            for _ in range(_MOST_REDIRECTS + 1):
                check_url(url, self.policy)
                response = await stack.enter_async_context(self._asked("GET", url, headers, None))
                target = _location(response)
                if response.status not in _REDIRECTS or not target:
                    break
                await stack.aclose()
                url = urljoin(url, target)
            else:
                raise UnreachableError(f"the URL redirects more than {_MOST_REDIRECTS} times")
            if response.status == 206 and not _is_whole(header(response, "content-range")):
                raise UnreachableError("the answer was HTTP 206: only a part of the content")
            if not 200 <= response.status < 300 or response.status in _EMPTY:
                raise UnreachableError(f"the answer was HTTP {response.status}")
            yield response

    async def _look_up(self, host: str, port: int) -> list[Address]:
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._look_ups, ask)
        except (OSError, UnicodeError) as error:
            raise UnreachableError(f"there is no host {host[:100]!r}: {error}") from None
        addresses = (as_address(str(entry[4][0])) for entry in found)
        return list(dict.fromkeys(address for address in addresses if address is not None))

    @contextlib.asynccontextmanager
    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[httpcore2.Response]:
        timeouts = {"timeout": {"connect": _CONNECT_S, "read": _SILENCE_S}}
        async with self._pool.stream(
            method, url, headers=list(headers.items()), content=body, extensions=timeouts
        ) as response:
            yield response


def header(response: httpcore2.Response, name: str) -> str:
    """Return the first header of that lowercase name; ``""`` where there is none."""
    values = (value.decode("latin-1") for key, value in response.headers if key.lower() == name.encode())
    return next(values, "")


def _location(response: httpcore2.Response) -> str:
    """Return where an answer redirects to, escaped as browsers do it where it is no ASCII; ``""`` for nowhere."""
    raw = next((value for key, value in response.headers if key.lower() == b"location"), b"")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    escaped = quote(text.strip(), safe=_KEPT_IN_URLS)
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
        if not host.isascii():
            return escaped.replace(quote(host, safe=""), host.encode("idna").decode(), 1)
    except (ValueError, UnicodeError):
        pass  # refused when the URL is checked
    return escaped


def _is_whole(content_range: str) -> bool:
    """Return whether a part, such as ``bytes 0-99/100``, is everything."""
    match = re.fullmatch(r"bytes 0-(\d+)/(\d+)", content_range.strip())
    return content_range == "" or (match is not None and int(match[1]) + 1 == int(match[2]))


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects only to addresses that were checked."""

    def __init__(self, policy: EgressPolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        literal = as_address(host)
        found = await self._resolve(host, port) if literal is None else [literal]
        *others, last = require_allowed(host, found, self._policy)
        for address in others:
            with contextlib.suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
        return await self._inner.connect_tcp(str(last), port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _read_some(response: httpcore2.Response) -> None:
    size_bytes = 0
    async for chunk in response.aiter_stream():
        size_bytes += len(chunk)
        if size_bytes > _ANSWER_BYTES:
            return


@contextlib.asynccontextmanager
async def _bounded(timeout_s: float) -> AsyncIterator[None]:
    """Map the errors of the HTTP stack, and end what takes too long."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, httpcore2.TimeoutException):
        raise UnreachableError(f"there was no answer within {timeout_s:g} s") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise UnreachableError(f"the request failed: {str(error) or type(error).__name__}") from None
