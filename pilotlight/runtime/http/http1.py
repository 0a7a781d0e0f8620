"""HTTP/1.1 as a client of a Cog server needs it: addresses, the heads of requests, and answers. Pure.

llhttp, by way of httptools, parses the answers.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

import httptools

from pilotlight.errors import UsageError, WorkerError

__all__ = ["LONGEST_HEAD_BYTES", "Answer", "Endpoint", "Head", "WireError"]

LONGEST_HEAD_BYTES = 64 * 1024
# How much of an answer that is not HTTP an error quotes.
_SHOWN_BYTES = 80


class WireError(WorkerError):
    """The connection broke, or what came over it is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a server, and the path below which it answers."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Return the endpoint that a URL names.

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
        """Return the head of a request with a JSON body of ``length`` bytes, or without one.

        ``headers`` are whole lines, each with its end.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        body = f"Content-Type: application/json\r\nContent-Length: {length}\r\n" if method != "GET" else ""
        return f"{method} {self.path}{path} HTTP/1.1\r\nHost: {host}:{self.port}\r\n{body}{headers}\r\n".encode("ascii")

    def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """Return a whole request, which can be written any number of times."""
        return self.head("POST", path, length=len(body), headers=headers) + body


@dataclass(frozen=True, slots=True)
class Head:
    """The status and headers of an answer; the names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    keeps_alive: bool


class Answer:
    """One answer of a server, parsed as its bytes come.

    Attributes:
        head: its status and headers; ``None`` until they are complete.
        chunked: whether its body comes in chunks.
        over: whether its end has come.
        stray: whether bytes have come after its end.
    """

    def __init__(self) -> None:
        self.head: Head | None = None
        self.chunked = False
        self.over = False
        self.stray = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._start = b""
        # Since the last piece of content: neither a head nor the lines between chunks may go on for ever.
        self._bytes_without_content = 0
        self._has_no_length = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes.

        Raises:
            WireError: they are not HTTP/1.1, or say neither how long the answer is nor that it comes in chunks.
        """
        if self.head is None:
            self._start += data[: _SHOWN_BYTES - len(self._start)]
        self._bytes_without_content += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.over:
                first = self._start.partition(b"\r\n")[0].decode("latin-1")
                raise WireError(f"the server does not answer in HTTP/1.1 ({error}): {first!r}") from error
            self.stray = True
        if self._has_no_length:
            raise WireError("the server says neither how long its answer is nor that it comes in chunks")
        if self._bytes_without_content > LONGEST_HEAD_BYTES and not self.over:
            where = "of headers" if self.head is None else "without content"
            raise WireError(f"the server sent {self._bytes_without_content:,} bytes {where}")

    def take(self) -> bytes:
        """Return the content that has come and was not yet taken; ``b""`` for none."""
        if not self._pieces:
            return b""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # What the parser calls. An exception here would reach ``feed`` as an error of the parser.

    def on_message_begin(self) -> None:
        self.stray = self.over

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # not a trailer
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        if self.over:
            return
        status = self._parser.get_status_code()
        self.head = Head(status, self._headers, self._parser.should_keep_alive())
        self.chunked = self._headers.get("transfer-encoding", "").lower() == "chunked"
        has_length = self.chunked or "content-length" in self._headers or status in (204, 304)
        self._has_no_length = not has_length

    def on_body(self, content: bytes) -> None:
        if not self.over:
            self._pieces.append(content)
            self._bytes_without_content = 0

    def on_message_complete(self) -> None:
        self.over = True
