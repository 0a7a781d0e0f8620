"""Server-sent events as Replicate sends them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Replicate's Python client splits lines where `str.splitlines` does.
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")

PING = b": ping\n\n"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: ``name`` is ``output``, ``logs``, ``error`` or ``done``."""

    name: str
    data: str


def encode(event: StreamEvent, event_id: str) -> bytes:
    """Return the bytes of an event; data is split at line ends of any kind, and readers join it by newlines."""
    lines = "".join(f"data: {line}\n" for line in _LINE_ENDS.split(event.data))
    return f"event: {event.name}\nid: {event_id}\n{lines}\n".encode("utf-8", "replace")
