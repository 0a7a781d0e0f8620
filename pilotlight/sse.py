"""Parses server-sent events from the bytes of a stream, as the HTML standard specifies them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Decoder", "ServerSentEvent"]

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = b"\n\n"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; several data lines are joined by newlines."""

    event: str
    data: str
    id: str = ""


class Decoder:
    """Parses a stream from pieces that may be cut anywhere.

    The size of an event is not limited: the caller must limit the bytes of an untrusted stream.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = (
            0  # no event ends before this offset; keeps large events from being searched again for each piece
        )
        self._first = True
        self._after_return = False
        self._last_id = ""

    def feed(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that this piece completes; read them all before the next piece."""
        self._buffer += self._with_newlines(piece)
        if self._first and len(self._buffer) >= len(_BOM):
            self._first = False
            if self._buffer.startswith(_BOM):
                del self._buffer[: len(_BOM)]
        while (end := self._buffer.find(_BLANK_LINE, self._searched)) >= 0:
            lines = self._buffer[:end].decode("utf-8", "replace").split("\n")
            del self._buffer[: end + len(_BLANK_LINE)]
            self._searched = 0
            event = self._event(lines)
            if event is not None:
                yield event
        self._searched = max(0, len(self._buffer) - 1)

    def _with_newlines(self, piece: bytes) -> bytes:
        """Return the piece with all line ends as newlines; a CR and its LF may be in different pieces."""
        if self._after_return and piece:
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._after_return = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return piece

    def _event(self, lines: list[str]) -> ServerSentEvent | None:
        """Return the event of these lines; ``None`` if they have no data, such as comments."""
        name = "message"
        data = []
        for line in lines:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "event":
                    name = value or name
                case "data":
                    data.append(value)
                case "id" if "\0" not in value:
                    self._last_id = value
        return ServerSentEvent(name, "\n".join(data), self._last_id) if data else None
