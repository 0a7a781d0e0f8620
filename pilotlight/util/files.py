"""Atomic replacement of files."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, content: bytes | str, *, fsync: bool = False, mode: int = 0o666) -> None:
    """Replace ``path`` by ``content``: a reader sees all of the old file or all of the new one.

    Concurrent writers are allowed; the last one wins. A failure leaves no temporary file.

    Args:
        path: in a folder that exists.
        content: text is written as UTF-8.
        fsync: whether to wait for the disk, so that the file also survives a power failure.
        mode: the permissions of the new file, less the umask.

    Raises:
        OSError: the file cannot be written; ``path`` is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    # In the same folder, because a rename is atomic only within one file system; hidden, and with a unique name.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            if fsync:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
