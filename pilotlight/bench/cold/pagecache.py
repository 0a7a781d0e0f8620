"""Drop files from the page cache, so that the next start reads them from the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

__all__ = ["Method", "drop", "pick_method"]

Method = Literal["drop_caches", "fadvise"]
_SWITCH = Path("/proc/sys/vm/drop_caches")
_PAGES_AND_NAMES = b"3\n"


def pick_method() -> Method:
    """Return how the page cache can be dropped on this machine.

    ``drop_caches`` drops everything; it needs root, and is not permitted in most containers. Otherwise ``fadvise``
    drops the given files, except pages that another process has mapped.
    """
    try:
        os.close(os.open(_SWITCH, os.O_WRONLY))
    except OSError:
        return "fadvise"
    return "drop_caches"


def drop(method: Method, files: Iterable[Path]) -> int:
    """Drop everything, or ``files``; return how many files were asked for (0 for everything).

    Files that no longer exist are skipped.
    """
    os.sync()  # only pages that are on the disk can be dropped
    if method == "drop_caches":
        _SWITCH.write_bytes(_PAGES_AND_NAMES)
        return 0
    return sum(_forget(path) for path in files)


def _forget(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
