"""Server-sent events as Replicate sends them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What Replicate's Python client splits lines at: everything that `str.splitlines` does.
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")

PING = b": ping\n\n"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: ``name`` is ``output``, ``logs``, ``error`` or ``done``."""

    name: str
    data: str


def encode(event: StreamEvent, event_id: str) -> bytes:
    """The bytes of an event. Data with line ends of any kind becomes several lines, which readers join by a newline."""
    lines = "".join(f"data: {line}\n" for line in _LINE_ENDS.split(event.data))
    return f"event: {event.name}\nid: {event_id}\n{lines}\n".encode("utf-8", "replace")
