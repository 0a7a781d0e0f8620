"""The end of what a process prints, in bounded memory, however much and however long its lines."""

from __future__ import annotations

from collections import deque

_MOST_LINES = 2000
_MOST_CHARACTERS = 1 << 20


class Tail:
    """The last lines: at most 2000, and at most a million characters; the newest line is whole whatever its length.

    Attributes:
        printed_bytes: of all lines so far, as UTF-8 with their line ends.
    """

    def __init__(self) -> None:
        self.printed_bytes = 0
        self._lines: deque[str] = deque()
        self._characters = 0

    def append(self, line: str) -> None:
        self.printed_bytes += len(line.encode("utf-8", "replace")) + 1
        self._lines.append(line)
        self._characters += len(line)
        while len(self._lines) > _MOST_LINES or (self._characters > _MOST_CHARACTERS and len(self._lines) > 1):
            self._characters -= len(self._lines.popleft())

    def clear(self) -> None:
        self._lines.clear()
        self._characters = 0

    def __str__(self) -> str:
        return "\n".join(self._lines)
