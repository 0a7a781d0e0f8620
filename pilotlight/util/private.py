"""Files and folders that only their owner may read: created so, and checked where they exist."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pilotlight.errors import StoreError, UsageError

__all__ = ["make_private_file", "make_private_folder", "require_private"]

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_OTHERS = 0o077


def make_private_folder(path: Path) -> None:
    """Create a folder of mode 0700 where there is none; close one that exists to other users.

    Raises:
        OSError: it cannot be created.
        UsageError: it exists, and cannot be closed.
    """
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    require_private(path)


def make_private_file(path: Path) -> None:
    """Create an empty file of mode 0600 where there is none; close one that exists to other users.

    Raises:
        StoreError: it cannot be created or written.
        UsageError: it exists, and cannot be closed.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError as error:
        # It is not opened: to close it again would end the locks that this process holds on it, as SQLite does.
        if not os.access(path, os.R_OK | os.W_OK):
            raise StoreError(f"{path} cannot be read or written: permission denied") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read or written: {error.strerror}") from error
    require_private(path)


def require_private(path: Path) -> None:
    """Take the permissions of other users from a file or folder that exists.

    Raises:
        UsageError: they have some and it belongs to another user, is a folder that all users share, such as /tmp, or is
            on a file system without permissions.
    """
    found = path.stat()
    if not found.st_mode & _OTHERS:
        return
    kind = "folder" if stat.S_ISDIR(found.st_mode) else "file"
    if found.st_mode & stat.S_ISVTX:
        raise UsageError(f"{path} is a folder that all users share: give one of your own in it or elsewhere")
    try:
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
        closed = not path.stat().st_mode & _OTHERS
    except OSError:
        closed = False
    if not closed:
        raise UsageError(
            f"other users can open the {kind} {path} (mode {stat.S_IMODE(found.st_mode):04o}), and this one cannot "
            "change that: run as its owner, or choose another folder"
        )
