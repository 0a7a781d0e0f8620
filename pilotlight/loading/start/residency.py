"""Which pages of a file are in the page cache."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

__all__ = ["resident_ranges", "resident_share"]


def resident_share(path: Path) -> float:
    """Return the share of a file that is in the page cache, from 0 to 1; 1 where the system cannot tell.

    Raises:
        OSError: it cannot be opened.
    """
    pages = _pages(path)
    return 1.0 if not pages else 1 - pages.count(0) / len(pages)


def resident_ranges(path: Path, *, gap_bytes: int) -> list[tuple[int, int]]:
    """Offset and length in bytes of what of a file is in the page cache; all of it where the system cannot tell.

    Args:
        path: a regular file.
        gap_bytes: ranges that are no further apart become one.

    Raises:
        OSError: it cannot be opened.
    """
    size_bytes = path.stat().st_size
    pages = _pages(path)
    if not pages:
        return [(0, size_bytes)] if size_bytes else []
    ranges: list[tuple[int, int]] = []
    for first, last in _runs(pages):
        start, end = first * mmap.PAGESIZE, min(last * mmap.PAGESIZE, size_bytes)
        if ranges and start - sum(ranges[-1]) <= gap_bytes:
            start = ranges.pop()[0]
        ranges.append((start, end - start))
    return ranges


def _runs(pages: bytes) -> list[tuple[int, int]]:
    """Return the first page of each run of resident pages, and the page after its last."""
    runs = []
    start = pages.find(1)
    while start >= 0:
        end = pages.find(0, start)
        end = len(pages) if end < 0 else end
        runs.append((start, end))
        start = pages.find(1, end)
    return runs


def _pages(path: Path) -> bytes:
    """Return a byte for each page, 1 where it is resident; none for an empty file or where that is unknown."""
    libc = ctypes.CDLL(None)  # what this process has loaded: to look for the C library by its name runs another program
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes == 0 or not hasattr(libc, "mincore"):
            return b""
        # A private writable mapping, which is never written to: ctypes takes the address of no other.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            seen = (ctypes.c_ubyte * -(-size_bytes // mmap.PAGESIZE))()
            start = ctypes.c_char.from_buffer(mapped)
            try:
                failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size_bytes), seen)
            finally:
                del start  # the mapping cannot be closed while this points into it
            # Only the lowest bit of each byte is defined.
            return b"" if failed else bytes(page & 1 for page in seen)
