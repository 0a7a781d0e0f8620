"""Memory that the system gives page by page as it is written, so that a large cache costs what is used of it."""

from __future__ import annotations

import mmap
import sys

__all__ = ["give_back", "untouched"]

# Linux: do not count the whole mapping against what the machine has. Python has no name for it.
_NORESERVE = 0x4000 if sys.platform == "linux" else 0


def untouched(size_bytes: int, *, small_pages: bool = False) -> mmap.mmap:
    """Return that many zero bytes, of which none has memory yet.

    Args:
        size_bytes: at least 1.
        small_pages: whether a write takes one small page, even where the system prefers huge ones.
    """
    memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    advice = getattr(mmap, "MADV_NOHUGEPAGE", None)
    if small_pages and advice is not None:
        memory.madvise(advice)
    return memory


def give_back(memory: mmap.mmap, start: int, end: int) -> None:
    """Give the whole pages between two positions back to the system; their bytes are zero again."""
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = end // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last:
        memory.madvise(mmap.MADV_DONTNEED, first, last - first)
