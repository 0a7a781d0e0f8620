"""Read Linux's counters for a process group. On other systems the functions return ``None`` or nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Counters",
    "group_counters",
    "group_members",
    "group_memory_bytes",
    "oom_kills",
    "steal_share",
    "system_ticks",
    "touched_files",
]

_PROC = Path("/proc")
_ENDED = "ZX"  # ended, but not yet waited for by the parent


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums over all live processes of a group.

    Attributes:
        read_bytes: the bytes read from storage, without those found in the page cache.
        major_faults: the page faults that needed a read, including those of ended children.
        peak_rss_bytes: the sum of each process's highest resident size; shared pages count for each process.
        cpu_s: the processor time including the kernel's, and that of ended children.
    """

    read_bytes: int
    major_faults: int
    peak_rss_bytes: int
    cpu_s: float


def group_members(group: int) -> list[int]:
    """Return the ids of the running processes of a group; empty without ``/proc``."""
    members = []
    for folder in _PROC.glob("[0-9]*"):
        fields = _stat_fields(folder)
        if fields and int(fields[2]) == group and fields[0] not in _ENDED:
            members.append(int(folder.name))
    return members


def group_counters(group: int) -> Counters | None:
    """Return the counters so far; ``None`` if the system does not provide them."""
    read_bytes = faults = peak = 0
    ticks = 0.0
    members = group_members(group)
    for member in members:
        folder = _PROC / str(member)
        fields = _stat_fields(folder)
        if not fields:
            continue
        faults += int(fields[9]) + int(fields[10])
        ticks += sum(int(field) for field in fields[11:15])
        read_bytes += _field(folder / "io", "read_bytes:")
        peak += _field(folder / "status", "VmHWM:") * 1024
    if not members:
        return None
    return Counters(read_bytes, faults, peak, ticks / os.sysconf("SC_CLK_TCK"))


def group_memory_bytes(group: int) -> int:
    """Return the bytes that a group holds in memory without file pages, which the system can take back.

    Pages that its processes share count for each.
    """
    return sum(
        1024 * (_field(status, "RssAnon:") + _field(status, "RssShmem:"))
        for status in (_PROC / str(member) / "status" for member in group_members(group))
    )


def oom_kills() -> int:
    """Return how many processes of this machine the kernel has ever killed for lack of memory."""
    return _field(_PROC / "vmstat", "oom_kill ")


def touched_files(group: int) -> set[Path]:
    """Return the regular files that a group has mapped or open at this moment."""
    return {path for member in group_members(group) for path in _files_of(_PROC / str(member))}


def system_ticks() -> tuple[int, int] | None:
    """Return the ticks of all processors since boot, and how many of them the hypervisor gave to others."""
    try:
        ticks = [int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    return sum(ticks), ticks[7]


def steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the share of the time between two ``system_ticks`` that the hypervisor gave to others."""
    if before is None or after is None or after[0] <= before[0]:
        return None
    return (after[1] - before[1]) / (after[0] - before[0])


def _files_of(folder: Path) -> Iterator[Path]:
    names: set[str] = set()
    with suppress(OSError):  # the process has ended, or belongs to another user
        for line in (folder / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
            names.add(line.split(maxsplit=5)[5] if line.count(" /") else "")
        names |= {os.readlink(link) for link in (folder / "fd").iterdir()}  # noqa: PTH115 - may not be a path
    for name in names:
        with suppress(OSError):
            if name.startswith("/") and stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - thousands a second
                yield Path(name)


def _stat_fields(folder: Path) -> list[str]:
    """Return the fields of ``stat`` from the state on (the name before it is free text); empty if it has ended."""
    try:
        return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _field(path: Path, name: str) -> int:
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0
