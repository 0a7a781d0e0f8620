"""Watch a process group from outside: the files it reads and the GPU memory it uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pilotlight.bench.harness.gpus import GpuMemory
from pilotlight.bench.harness.proc import touched_files

__all__ = ["Seen", "watch"]

_FILES_INTERVAL_S = 0.05
_GPU_INTERVAL_S = 0.5


@dataclass(slots=True)
class Seen:
    """The observations so far.

    Attributes:
        files: the files that the group had mapped or open; a file open for less than 0.05 s can be missed.
        gpu_peak_bytes: the most GPU memory seen in use; ``None`` without a GPU.
    """

    files: set[Path] = field(default_factory=set)
    gpu_peak_bytes: int | None = None


@asynccontextmanager
async def watch(group: int, gpu: GpuMemory, *, throughout: bool) -> AsyncGenerator[Seen, None]:
    """Read GPU memory when this context ends; with ``throughout``, read it and the files all the time.

    Watching throughout slows the group. The yielded object is complete when the context has ended.
    """
    seen = Seen()

    def look_at_files() -> None:
        seen.files.update(touched_files(group))

    def look_at_gpus() -> None:
        held = gpu.of(group)
        if held is not None:
            seen.gpu_peak_bytes = max(held, seen.gpu_peak_bytes or 0)

    looks: list[tuple[Callable[[], None], float]] = [(look_at_gpus, _GPU_INTERVAL_S)]
    watchers: list[asyncio.Task[None]] = []
    if throughout:
        looks.append((look_at_files, _FILES_INTERVAL_S))
        watchers = [asyncio.create_task(_repeat(look, interval_s)) for look, interval_s in looks]
    try:
        yield seen
        for look, _ in looks:
            await asyncio.to_thread(look)
    finally:
        for watcher in watchers:
            watcher.cancel()
        if watchers:
            await asyncio.wait(watchers)


async def _repeat(look: Callable[[], None], interval_s: float) -> None:
    while True:
        await asyncio.to_thread(look)
        await asyncio.sleep(interval_s)
