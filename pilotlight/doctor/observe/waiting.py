"""Reads how long processes waited for a processor, as Linux counts it: what a busy machine adds to a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pilotlight.bench.harness.proc import group_members

__all__ = ["Waits", "waited_s", "waits"]

_PROC = Path("/proc")
_NS = 1e-9

# By process and thread, in nanoseconds since each began.
Waits = Mapping[tuple[int, int], int]


def waits(group: int, *, ours: bool = True) -> Waits:
    """What the threads of a group have waited so far; of this process too, unless ``ours`` is false."""
    found: dict[tuple[int, int], int] = {}
    for process in (*group_members(group), *([os.getpid()] if ours else [])):
        for task in (_PROC / str(process) / "task").glob("[0-9]*"):
            # Three numbers: time on a processor, time waiting for one, and how often it got one.
            with suppress(OSError, ValueError, IndexError):
                found[process, int(task.name)] = int((task / "schedstat").read_text(encoding="ascii").split()[1])
    return found


def waited_s(before: Waits, after: Waits) -> float | None:
    """How much of the time between two looks went by like that; ``None`` if the system does not count it. Pure.

    Of each process the thread that waited most, since threads wait beside each other; of several processes the sum,
    since a prediction passes from one to the next. A thread that has ended by the second look is not in it.
    """
    if not after:
        return None
    longest: dict[int, int] = {}
    for (process, thread), nanoseconds in after.items():
        since = nanoseconds - before.get((process, thread), 0)
        longest[process] = max(longest.get(process, 0), since)
    return sum(longest.values()) * _NS
