"""The words of HTTP/1.1 that talking to a Cog server needs: where to ask, what to send, how an answer begins. Pure."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from pilotlight.errors import UsageError, WorkerError

__all__ = ["Endpoint", "Head", "WireError", "parse_head", "parse_length"]


class WireError(WorkerError):
    """The connection broke, or what came over it is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, and below which path."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """The place that a URL names.

        Raises:
            UsageError: it is no URL of a server that can be reached without TLS.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port or 80
        except ValueError as error:
            raise UsageError(f"{url}: {error}") from error
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment or not parts.path.isascii():
            raise UsageError(f"{url}: give it as http://HOST:PORT")
        return cls(parts.hostname, port, parts.path.rstrip("/"))

    def head(self, method: str, path: str, *, length: int = 0, headers: str = "") -> bytes:
        """The head of a request with a JSON body of ``length`` bytes, or without one.

        ``headers`` are whole lines, each with its end.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        body = f"Content-Type: application/json\r\nContent-Length: {length}\r\n" if method != "GET" else ""
        return f"{method} {self.path}{path} HTTP/1.1\r\nHost: {host}:{self.port}\r\n{body}{headers}\r\n".encode("ascii")

    def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """A whole request, ready to be written as often as it is needed."""
        return self.head("POST", path, length=len(body), headers=headers) + body


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer; the names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    keeps_alive: bool


def parse_head(data: bytes) -> Head:
    """The head of an answer, without the blank line after it; raises ``WireError`` when it is none."""
    first, *lines = data.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not status.isdecimal():
        raise WireError(f"the server does not answer in HTTP/1.1: {first[:80]!r}")
    fields = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    keeps_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Head(int(status), headers, keeps_alive)


def parse_length(text: str | bytes, base: int) -> int:
    """A length as HTTP writes it: decimal for a body, hexadecimal for a chunk; raises ``WireError``."""
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise WireError(f"the server gave {text[:40]!r} as a length")
    return number
