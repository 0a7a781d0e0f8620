"""The folder of a gateway: its database and its files, which one gateway uses at a time, and all that was pushed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pilotlight.errors import UsageError

_DATABASE = "gateway.sqlite3"
_FILES = "files"
_LOCK = "gateway.lock"


@contextlib.contextmanager
def lock(home: Path) -> Iterator[tuple[Path, Path]]:
    """Lock ``home`` for one gateway, and return the paths of its database and of the folder of its files.

    The folder is created where it does not exist. The lock ends with its process, however that ends.

    Raises:
        UsageError: another gateway runs in this home, or it cannot be written.
    """
    descriptor = os.open(create(home) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another gateway runs with {home}; stop it, or give this one another --home") from None
        yield home / _DATABASE, home / _FILES
    finally:
        os.close(descriptor)


def create(home: Path) -> Path:
    """Create ``home``, for its owner only, where it does not exist, and return it.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{home} cannot be used: {error.strerror}; choose another --home") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise UsageError(f"{home} cannot be used: it is not writable; choose another --home")
    return home
