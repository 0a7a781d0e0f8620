"""Read this machine's NVIDIA GPUs and their memory in use from ``nvidia-smi``; return no GPUs without it."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping

from pilotlight.bench.harness.documents import Gpu
from pilotlight.bench.harness.proc import group_members

__all__ = ["GpuMemory", "gpu_bytes", "parse_apps", "parse_gpus", "parse_used", "read_gpus"]

_PROGRAM = "nvidia-smi"
_FORMAT = "--format=csv,noheader,nounits"
_LIMIT_S = 30.0
_MIB = 1 << 20


def read_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs in the driver's order; empty without a driver."""
    return parse_gpus(_ask("--query-gpu=name,driver_version,memory.total"))


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Parse lines such as ``NVIDIA L4, 550.54.15, 23034``; the size is in MiB."""
    found = []
    for line in text.splitlines():
        name, driver, size = _fields(line, 3)
        found.append(Gpu(name=name, driver=driver, memory_bytes=int(size) * _MIB if size.isdecimal() else None))
    return tuple(found)


def parse_apps(text: str) -> dict[int, int]:
    """Return bytes by process id, over all GPUs, from lines such as ``1234, 456`` (MiB); ``[N/A]`` is left out."""
    found: dict[int, int] = {}
    for line in text.splitlines():
        process, size = _fields(line, 2)
        if process.isdecimal() and size.isdecimal():
            found[int(process)] = found.get(int(process), 0) + int(size) * _MIB
    return found


def parse_used(text: str) -> int:
    """Return the bytes in use over all GPUs, from one line in MiB for each."""
    return sum(int(line) * _MIB for line in text.splitlines() if line.strip().isdecimal())


def gpu_bytes(apps: Mapping[int, int], members: Collection[int], used: int, used_before: int) -> int:
    """Return the bytes that a group uses: those of its processes if the driver reports them by these ids.

    In a container the ids usually differ. The result is then the increase of all memory in use since before.
    """
    own = [size for process, size in apps.items() if process in members]
    return sum(own) if own else max(0, used - used_before)


class GpuMemory:
    """The GPU memory that a process group uses, beginning now.

    Each reading starts a process and opens the driver, so read only when nothing is being timed.
    """

    def __init__(self) -> None:
        text = _ask("--query-gpu=memory.used")
        self._used_before = parse_used(text) if text else None

    def of(self, group: int) -> int | None:
        """Return the bytes in use at this moment; ``None`` without a GPU."""
        if self._used_before is None:
            return None
        apps = parse_apps(_ask("--query-compute-apps=pid,used_memory"))
        return gpu_bytes(apps, group_members(group), parse_used(_ask("--query-gpu=memory.used")), self._used_before)


def _ask(query: str) -> str:
    """Return the output of ``nvidia-smi``; empty if it does not exist or finds no GPU."""
    try:
        done = subprocess.run([_PROGRAM, query, _FORMAT], capture_output=True, text=True, timeout=_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _fields(line: str, count: int) -> list[str]:
    """Split a line into fields, at least ``count``."""
    fields = [field.strip() for field in line.split(",")]
    return (fields + [""] * count)[:count]
