"""Reads how much memory this process can still take: of the machine, of its control groups, and of its own limits."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Sources", "free_memory_bytes", "mapped_weights", "private_bytes"]

# Files of weights, as they are named where an engine maps them.
WEIGHTS = (".safetensors", ".gguf", ".bin")
# Of a control group: what it may take and has taken, and the part of that which the kernel gives back when asked.
V2 = (("memory.max", "memory.high"), "memory.current", ("inactive_file", "active_file", "slab_reclaimable"))
V1 = (("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the kernel says it; another folder stands for another machine.

    Attributes:
        cgroups: the folder in which control groups are mounted.
        process: this process's folder in ``/proc``.
        machine_bytes: available on the machine; ``None`` asks the kernel.
    """

    cgroups: Path = Path("/sys/fs/cgroup")
    process: Path = Path("/proc/self")
    machine_bytes: int | None = None


def free_memory_bytes(sources: Sources = Sources()) -> int:
    """Return what this process can still take: the least of what the machine, each of its control groups and its own
    limits leave. Cached files count as free: the kernel drops them when memory is asked for.
    """
    machine = sources.machine_bytes
    free = [psutil.virtual_memory().available if machine is None else machine]
    free += _left_by_groups(sources)
    free += _left_by_limits(sources.process)
    return max(0, min(free))


def mapped_weights(process: Path = Path("/proc/self")) -> dict[str, int]:
    """Return the bytes of each file of weights that this process has mapped: its pages are read as they are used."""
    found: dict[str, int] = {}
    with suppress(OSError):
        for line in (process / "maps").read_text("utf-8", "replace").splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].endswith(WEIGHTS):
                start, end = (int(one, 16) for one in fields[0].split("-"))
                found[fields[5]] = found.get(fields[5], 0) + end - start
    return found


def private_bytes(process: psutil.Process) -> int:
    """Return the memory of a process that no file backs."""
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _left_by_groups(sources: Sources) -> Iterator[int]:
    """Yield what each control group around this process has left, the outer ones included."""
    try:
        lines = (sources.process / "cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, inside = line.split(":", 2)
        if number == "0":
            for mount in (sources.cgroups, sources.cgroups / "unified"):
                yield from _left_from(mount, inside, *V2)
        elif "memory" in controllers.split(","):
            yield from _left_from(sources.cgroups / "memory", inside, *V1)


def _left_from(mount: Path, inside: str, limits: tuple[str, ...], used: str, reclaimable: tuple[str, ...]) -> list[int]:
    """Return what the group ``inside`` and the groups around it have left, up to the mount.

    In a container the path may be the host's, which is not there: the mount itself is the container's group then.
    """
    group = mount / inside.strip("/")
    if ".." in group.parts or not group.is_dir():
        group = mount
    groups = [group, *(parent for parent in group.parents if parent == mount or mount in parent.parents)]
    left = []
    for folder in groups:
        known = [limit for name in limits if (limit := _number(folder / name)) is not None]
        taken = _number(folder / used)
        if known and taken is not None:
            left.append(min(known) - taken + min(taken, _stated(folder / "memory.stat", reclaimable)))
    return left


def _left_by_limits(process: Path) -> Iterator[int]:
    """Yield what ``ulimit -v`` and ``ulimit -d`` leave."""
    for limit, name in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
        soft, _ = resource.getrlimit(limit)
        if soft == resource.RLIM_INFINITY:
            continue
        with suppress(OSError):
            for line in (process / "status").read_text("utf-8").splitlines():
                if line.startswith(name):
                    yield soft - int(line.split()[1]) * 1024


def _number(path: Path) -> int | None:
    """Return the number in a file; ``None`` where there is no file, or no limit (``max``)."""
    try:
        return int(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _stated(path: Path, names: tuple[str, ...]) -> int:
    """Return the sum of these entries of a ``memory.stat``."""
    with suppress(OSError, ValueError):
        lines = (line.split() for line in path.read_text("utf-8").splitlines())
        return sum(int(value) for name, value in lines if name in names)
    return 0
