"""Server-sent events: from the bytes of a stream to its events, as the HTML standard describes them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Decoder", "ServerSentEvent"]

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = b"\n\n"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; several lines of data are joined by newlines."""

    event: str
    data: str
    id: str = ""


class Decoder:
    """Takes a stream piece by piece, cut anywhere, and gives back the events that are complete.

    An event of any size is one: whoever reads from a stranger counts the bytes before they come here.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # up to here there is no end of an event: one of 100 MB is not searched again for each piece
        self._first = True
        self._after_return = False
        self._last_id = ""

    def feed(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """The events that end with this piece of the stream; read them all before the next piece."""
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
        """The piece with every end of a line as a newline; a return and a newline may be in two pieces."""
        if self._after_return and piece:
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._after_return = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return piece

    def _event(self, lines: list[str]) -> ServerSentEvent | None:
        """``None`` where nothing is said: comments, or fields other than data."""
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
