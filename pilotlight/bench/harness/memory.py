"""Limit the memory of a worker: above the limit it is killed, and its work fails with an error."""

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

# One reading takes 1 to 2 ms; between two readings, a process that only allocates can add about 0.5 GB.
_INTERVAL_S = 0.2
_SHARE_OF_MACHINE = 0.9
_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def default_limit_bytes() -> int:
    """Return nine tenths of this machine's memory, or of the container's limit."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CONTAINER_LIMITS:
        try:
            found.append(int(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # the file is missing or says "max"
            continue
    return int(_SHARE_OF_MACHINE * min(found))


async def within_memory(work: Coroutine[Any, Any, T], worker: Worker, limit_bytes: int) -> T:
    """Return the result of ``work``; if the worker exceeds the limit, cancel the work and kill the worker.

    Files that a worker has mapped do not count, because the system can take those pages back.

    Args:
        work: the work on the worker; it begins when this is awaited.
        worker: a started worker.
        limit_bytes: the limit of all its processes together.

    Raises:
        WorkerMemoryError: it exceeded the limit, or died while the kernel killed processes for lack of memory.
    """
    kills = oom_kills()
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_exceeded(worker.pid, limit_bytes))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        await worker.stop(0)  # with time to end, it would take more
        raise WorkerMemoryError(
            f"{worker.project.root} used {watching.result() / 2**30:.2f} GiB of memory; the limit is "
            f"{limit_bytes / 2**30:.2f} GiB: allow more with --memory-limit, or load less",
            logs=worker.logs,
        )
    except WorkerCrashedError as error:
        if oom_kills() == kills:
            raise
        raise WorkerMemoryError(
            f"{error}, while the kernel killed processes because no memory was left; "
            "use a machine with more memory, or load less",
            logs=error.logs,
        ) from error
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})


async def _exceeded(group: int, limit_bytes: int) -> int:
    """Wait until the group exceeds the limit; return the bytes that it used then."""
    while True:
        held = await asyncio.to_thread(group_memory_bytes, group)
        if held > limit_bytes:
            return held
        await asyncio.sleep(_INTERVAL_S)
