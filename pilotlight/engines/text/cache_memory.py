"""How much memory there is for keys and values on a machine whose memory is that of its processor."""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["CACHE_SHARE", "free_memory_bytes"]

# Of the memory that is free after loading; the rest is for activations and whoever else lives on the machine.
CACHE_SHARE = 0.4


def free_memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that can still be taken, by the kernel's word and by the container's limit where there is one."""
    free = [psutil.virtual_memory().available]
    limit, used = cgroup / "memory.max", cgroup / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free.append(int(limit.read_text()) - int(used.read_text()))
    return max(0, min(free))
