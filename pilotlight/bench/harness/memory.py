"""Limits the memory of a worker: beyond the limit it is killed and its work fails with an error."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pilotlight.bench.harness.proc import group_memory_bytes, oom_kills
from pilotlight.errors import WorkerCrashedError, WorkerMemoryError
from pilotlight.runtime import Worker

__all__ = ["default_limit_bytes", "within_memory"]

T = TypeVar("T")

# A look takes 1 to 2 ms, and a process that does nothing else takes some 0.5 GB between two of them.
_INTERVAL_S = 0.2
_SHARE_OF_MACHINE = 0.9
_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def default_limit_bytes() -> int:
    """Nine tenths of what this machine has, or this container may use."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CONTAINER_LIMITS:
        try:
            found.append(int(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return int(_SHARE_OF_MACHINE * min(found))


async def within_memory(work: Coroutine[Any, Any, T], worker: Worker, limit_bytes: int) -> T:
    """What ``work`` on a worker comes to; it is cancelled, and the worker killed, when that holds too much.

    Files that a worker has mapped do not count: the system takes those pages back when it needs them.

    Args:
        work: is not begun before this is awaited.
        worker: has been started.
        limit_bytes: what it may hold, all its processes together.

    Raises:
        WorkerMemoryError: it held more, or died while the kernel killed processes for want of memory.
    """
    kills = oom_kills()
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_exceeded(worker.pid, limit_bytes))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        await worker.stop(0)  # given time to end, it would take more
        raise WorkerMemoryError(
            f"{worker.project.root} took {watching.result() / 2**30:.2f} GiB of memory, and "
            f"{limit_bytes / 2**30:.2f} GiB is the limit; allow more with --memory-limit, or load less",
            logs=worker.logs,
        )
    except WorkerCrashedError as error:
        if oom_kills() == kills:
            raise
        raise WorkerMemoryError(
            f"{error}, while the kernel killed processes because there was no memory left; "
            "give it a machine with more, or load less",
            logs=error.logs,
        ) from error
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})


async def _exceeded(group: int, limit_bytes: int) -> int:
    """How much it held when that first was more."""
    while True:
        held = await asyncio.to_thread(group_memory_bytes, group)
        if held > limit_bytes:
            return held
        await asyncio.sleep(_INTERVAL_S)
