"""The folder in which a gateway keeps its database and its files, one gateway at a time, and all that was pushed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pilotlight.errors import UsageError

VARIABLE = "PILOTLIGHT_HOME"

_DATABASE = "gateway.sqlite3"
_FILES = "files"
_LOCK = "gateway.lock"


@contextlib.contextmanager
def held(home: Path) -> Iterator[tuple[Path, Path]]:
    """Holds ``home``, made if it is not there, for one gateway: its database, and the folder of its files.

    The lock dies with its process, however that ends.

    Raises:
        UsageError: another gateway holds it, or it cannot be written.
    """
    lock = os.open(made(home) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield home / _DATABASE, home / _FILES
    except BlockingIOError:
        raise UsageError(f"another gateway runs with {home}; stop it, or give this one another --home") from None
    finally:
        os.close(lock)


def made(home: Path) -> Path:
    """``home``, which is there then, for nobody but its owner.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{home} cannot be used: {error.strerror}; choose another --home") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise UsageError(f"{home} cannot be used: it may not be written to; choose another --home")
    return home
