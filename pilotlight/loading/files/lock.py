"""One fetch at a time in a folder, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

LOCK_NAME = ".fetch.lock"


@contextlib.contextmanager
def folder_lock(folder: Path, *, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold ``folder`` (made if it is not there; removed again if it is left empty) for one fetch.

    Waits for whoever holds it, after one call of ``on_wait``; Ctrl-C ends the wait. The lock dies with its process, and
    its file is removed by whoever held it, so that a finished model folder has nothing in it but the model.
    """
    path = folder / LOCK_NAME
    lock = _acquire(folder, path, on_wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: the usual case
            folder.rmdir()
        os.close(lock)


def _acquire(folder: Path, path: Path, on_wait: Callable[[], None]) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # the one before us left the folder empty, and removed it at this moment
        try:
            _lock(lock, on_wait)
            # The one before us has removed the file: what we then hold locks nothing, and others have a new one.
            held = _same_file(lock, path)
        except BaseException:
            os.close(lock)
            raise
        if held:
            return lock
        os.close(lock)


def _lock(lock: int, on_wait: Callable[[], None]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        fcntl.flock(lock, fcntl.LOCK_EX)


def _same_file(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
