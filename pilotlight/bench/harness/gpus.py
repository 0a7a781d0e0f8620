"""Reads the NVIDIA GPUs of this machine and their memory in use from ``nvidia-smi``; none without it."""

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
    """In the order of the driver; empty where there is no driver."""
    return parse_gpus(_ask("--query-gpu=name,driver_version,memory.total"))


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """From lines such as ``NVIDIA L4, 550.54.15, 23034``; the size is in MiB."""
    found = []
    for line in text.splitlines():
        name, driver, size = _fields(line, 3)
        found.append(Gpu(name=name, driver=driver, memory_bytes=int(size) * _MIB if size.isdecimal() else None))
    return tuple(found)


def parse_apps(text: str) -> dict[int, int]:
    """Bytes by process id, over all GPUs, from lines such as ``1234, 456`` (MiB); ``[N/A]`` is left out."""
    found: dict[int, int] = {}
    for line in text.splitlines():
        process, size = _fields(line, 2)
        if process.isdecimal() and size.isdecimal():
            found[int(process)] = found.get(int(process), 0) + int(size) * _MIB
    return found


def parse_used(text: str) -> int:
    """Bytes in use, over all GPUs, from a line in MiB for each."""
    return sum(int(line) * _MIB for line in text.splitlines() if line.strip().isdecimal())


def gpu_bytes(apps: Mapping[int, int], members: Collection[int], used: int, used_before: int) -> int:
    """What a group holds: its processes' share where the driver knows them by these ids.

    In a container it usually knows them by others. Then it is what is in use beyond what was before, by whomever.
    """
    own = [size for process, size in apps.items() if process in members]
    return sum(own) if own else max(0, used - used_before)


class GpuMemory:
    """GPU memory that a group comes to hold, beginning now.

    A look starts a process and opens the driver: look only when nothing is being timed.
    """

    def __init__(self) -> None:
        text = _ask("--query-gpu=memory.used")
        self._used_before = parse_used(text) if text else None

    def of(self, group: int) -> int | None:
        """Held at this moment, in bytes; ``None`` where there is no GPU."""
        if self._used_before is None:
            return None
        apps = parse_apps(_ask("--query-compute-apps=pid,used_memory"))
        return gpu_bytes(apps, group_members(group), parse_used(_ask("--query-gpu=memory.used")), self._used_before)


def _ask(query: str) -> str:
    """What the program prints; empty where there is none, or no GPU."""
    try:
        done = subprocess.run([_PROGRAM, query, _FORMAT], capture_output=True, text=True, timeout=_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _fields(line: str, count: int) -> list[str]:
    """The fields of a line, which has at least so many."""
    fields = [field.strip() for field in line.split(",")]
    return (fields + [""] * count)[:count]
