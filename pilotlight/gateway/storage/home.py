"""The folder of a gateway: its database and its files, which one gateway uses at a time, and all that was pushed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pilotlight.errors import UsageError
from pilotlight.util.private import make_private_folder, require_private

_DATABASE = "gateway.sqlite3"
_FILES = "files"
_LOCK = "gateway.lock"
# All that is there: the databases with SQLite's own files, the tokens, the locks, uploads, and what was pushed.
_CONTENTS = ("*.sqlite3*", "tokens.json", "*.lock", _FILES, "blobs", "versions")


@contextlib.contextmanager
def lock(home: Path) -> Iterator[tuple[Path, Path]]:
    """Lock ``home`` for one gateway, and return the paths of its database and of the folder of its files.

    The folder is created where it does not exist, and it and what is in it are closed to other users where it does. The
    lock ends with its process, however that ends.

    Raises:
        UsageError: another gateway runs in this home, it cannot be written, or other users can read what is in it and
            that cannot be changed.
    """
    descriptor = os.open(create(home) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another gateway runs with {home}; stop it, or give this one another --home") from None
        _close_contents(home)
        yield home / _DATABASE, home / _FILES
    finally:
        os.close(descriptor)


def create(home: Path) -> Path:
    """Create ``home``, for its owner only, where it does not exist; close one that exists to others, and return it.

    Raises:
        UsageError: it cannot be written, or cannot be closed to other users.
    """
    try:
        make_private_folder(home)
    except OSError as error:
        raise UsageError(f"{home} cannot be used: {error.strerror}; choose another --home") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise UsageError(f"{home} cannot be used: it is not writable; choose another --home")
    return home


def _close_contents(home: Path) -> None:
    """Take the permissions of other users from what a gateway has in ``home``: older versions created files as 0644.

    What is deeper is reached through a folder that is closed then. A link is left alone, as it may lead out of here.
    """
    for entry in sorted({entry for pattern in _CONTENTS for entry in home.glob(pattern)}):
        if not entry.is_symlink():
            with contextlib.suppress(FileNotFoundError):  # a command such as `pilotlight push` has replaced it
                require_private(entry)
