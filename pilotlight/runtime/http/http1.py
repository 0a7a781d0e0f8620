"""The words of HTTP/1.1 that talking to a Cog server needs: where to ask, what to send, what an answer is. Pure."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from enum import Enum, auto

from pilotlight.errors import UsageError, WorkerError

__all__ = ["LONGEST_HEAD_BYTES", "Body", "Chunks", "Endpoint", "Head", "Whole", "WireError", "body_of", "parse_head"]

LONGEST_HEAD_BYTES = 64 * 1024
_END_OF_LINE = b"\r\n"


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


class Whole:
    """A body of ``length`` bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def over(self) -> bool:
        """Whether its end has been taken."""
        return self._left == 0

    def take(self, data: bytearray) -> bytes:
        """What ``data`` holds of it, which is removed from there; ``b""`` when more has to come first."""
        piece = bytes(data[: self._left])
        del data[: self._left]
        self._left -= len(piece)
        return piece


class _Next(Enum):
    """What follows in a body in chunks."""

    LENGTH = auto()
    CONTENT = auto()
    END_OF_CONTENT = auto()
    TRAILER = auto()
    NOTHING = auto()


class Chunks:
    """A body in chunks. Trailers mean nothing to us."""

    def __init__(self) -> None:
        self._next = _Next.LENGTH
        self._left = 0

    @property
    def over(self) -> bool:
        """Whether its end has been taken."""
        return self._next is _Next.NOTHING

    def take(self, data: bytearray) -> bytes:
        """What ``data`` holds of its content, as ``Whole.take``; raises ``WireError`` where these are no chunks."""
        pieces = []
        position = 0
        while not self.over:
            if self._next is _Next.CONTENT:
                piece = bytes(data[position : position + self._left])
                end = position + len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if self._left == 0:
                    self._next = _Next.END_OF_CONTENT
            else:
                end = data.find(_END_OF_LINE, position)
                if end >= 0:
                    self._read_line(bytes(data[position:end]))
                    end += len(_END_OF_LINE)
                elif len(data) - position > LONGEST_HEAD_BYTES:
                    raise WireError(
                        f"the server sent a line of more than {LONGEST_HEAD_BYTES:,} bytes among its chunks"
                    )
            if end <= position:
                break
            position = end
        del data[:position]
        return b"".join(pieces)

    def _read_line(self, line: bytes) -> None:
        if self._next is _Next.LENGTH:
            self._left = _parse_length(line.partition(b";")[0], 16)
            self._next = _Next.CONTENT if self._left else _Next.TRAILER
        elif self._next is _Next.END_OF_CONTENT:
            if line:
                raise WireError("the server sent a chunk that is longer than it said")
            self._next = _Next.LENGTH
        elif not line:
            self._next = _Next.NOTHING


Body = Whole | Chunks


def body_of(head: Head) -> Body:
    """How the body after ``head`` is to be read; raises ``WireError`` when that does not say."""
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        return Chunks()
    given = head.headers.get("content-length")
    if given is None and head.status not in (204, 304):
        raise WireError("the server says neither how long its answer is nor that it comes in chunks")
    return Whole(_parse_length(given or "0", 10))


def _parse_length(text: str | bytes, base: int) -> int:
    """A length as HTTP writes it: decimal for a body, hexadecimal for a chunk."""
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise WireError(f"the server gave {text[:40]!r} as a length")
    return number
