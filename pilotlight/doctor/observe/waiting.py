"""Read from Linux how long processes waited for a processor, which is what a busy machine adds to a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pilotlight.bench.harness.proc import group_members

__all__ = ["Waits", "waited_s", "waits"]

_PROC = Path("/proc")
_NS = 1e-9

# Nanoseconds waited since the start of each thread, by process and thread.
Waits = Mapping[tuple[int, int], int]


def waits(group: int, *, ours: bool = True) -> Waits:
    """Return how long each thread of a group has waited so far; includes this process unless ``ours`` is false."""
    found: dict[tuple[int, int], int] = {}
    for process in (*group_members(group), *([os.getpid()] if ours else [])):
        for task in (_PROC / str(process) / "task").glob("[0-9]*"):
            # Three numbers: time on a processor, time waiting for one, and how often it got one.
            with suppress(OSError, ValueError, IndexError):
                found[process, int(task.name)] = int((task / "schedstat").read_text(encoding="ascii").split()[1])
    return found


def waited_s(before: Waits, after: Waits) -> float | None:
    """Return the seconds waited for a processor between two calls; ``None`` if the system does not count it. Pure.

    The longest wait of any thread counts for a process, since its threads wait at the same time; processes are summed,
    since a prediction passes from one to the next. A thread that ended before the second call is not counted.
    """
    if not after:
        return None
    longest: dict[int, int] = {}
    for (process, thread), nanoseconds in after.items():
        since = nanoseconds - before.get((process, thread), 0)
        longest[process] = max(longest.get(process, 0), since)
    return sum(longest.values()) * _NS
