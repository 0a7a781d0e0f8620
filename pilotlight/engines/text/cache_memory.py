"""How much memory a CPU engine may take for keys and values."""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["CACHE_SHARE", "free_memory_bytes"]

# Share of the memory that is free after loading; the rest is for activations and other processes.
CACHE_SHARE = 0.4


def free_memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the available memory, as the kernel reports it and within the container's limit."""
    free = [psutil.virtual_memory().available]
    limit, used = cgroup / "memory.max", cgroup / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free.append(int(limit.read_text()) - int(used.read_text()))
    return max(0, min(free))
