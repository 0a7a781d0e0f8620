"""A store of files by content: each is in the folder once, under its sha256, whatever its name and place were.

A file is copied as a reflink where the file system can (nothing is copied then until one of the two changes), else byte
by byte. The copy is hashed, so that a name always fits its content. An incomplete file has another name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from pilotlight.errors import StoreError
from pilotlight.gateway.registry.digest import LARGE_BYTES
from pilotlight.loading.files.manifest import CHUNK_BYTES, sha256_of

# The request of <linux/fs.h> that makes one file a reflink of another.
_FICLONE = 0x40049409
_PART = ".part"


class Blobs:
    """The files in ``folder``, which is made with the first. ``Registry.lock`` ensures that one process writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Return where the content with that hash is stored, if it is."""
        return self._folder / sha256[:2] / sha256

    def has(self, sha256: str, size_bytes: int) -> bool:
        """Return whether it is stored, with that size."""
        try:
            return self.path(sha256).stat().st_size == size_bytes
        except OSError:
            return False

    def add(self, source: Path, *, link: bool = False, on_bytes: Callable[[int], None] = lambda _: None) -> str:
        """Store a copy of a file; return its sha256.

        Args:
            source: the file.
            link: whether a large file may be stored as a hard link where there are no reflinks: no second copy on the
                disk, but changing the file in place then changes the stored one.
            on_bytes: called with the size of every chunk that was hashed.

        Raises:
            OSError: ``source`` cannot be read.
            StoreError: it cannot be written here.
        """
        part = self._folder / f"{secrets.token_hex(8)}{_PART}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            cloned = _cloned(source, part)
            linked = not cloned and link and source.stat().st_size > LARGE_BYTES and _linked(source, part)
            shared = cloned or linked
            sha256 = sha256_of(part, on_bytes=on_bytes) if shared else _copied(source, part, on_bytes)
            if not linked:
                part.chmod(0o444)
            target = self.path(sha256)
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
        except OSError as error:
            if error.filename == str(source):
                raise
            raise StoreError(f"{self._folder} cannot be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):  # it has its name by now, or was never made
                part.unlink()
        return sha256

    def put(self, sha256: str, target: Path, *, executable: bool) -> None:
        """Make ``target`` a file of that content.

        A large file is a read-only hard link; a small one is a copy, as predictors do write to their small files.
        """
        blob = self.path(sha256)
        if blob.stat().st_size > LARGE_BYTES and not executable and _linked(blob, target):
            return
        shutil.copyfile(blob, target)
        target.chmod(0o755 if executable else 0o644)

    def all(self) -> Iterator[tuple[str, int]]:
        """Yield every hash that is stored, with the size of its content."""
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            yield path.name, path.stat().st_size

    def remove(self, sha256: str) -> None:
        """Remove a content; folders of versions that have it keep it."""
        self.path(sha256).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: the usual case
            self.path(sha256).parent.rmdir()

    def parts(self) -> list[Path]:
        """Return the files that killed pushes have left."""
        return list(self._folder.glob(f"*{_PART}"))


def _cloned(source: Path, target: Path) -> bool:
    """Make ``target`` a reflink of ``source``; return whether the file system can."""
    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            new.close()
            target.unlink()
            return False
    return True


def _linked(source: Path, target: Path) -> bool:
    """Make ``target`` a hard link to ``source``; return whether the file system can."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        return False
    return True


def _copied(source: Path, target: Path, on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with source.open("rb", buffering=0) as old, target.open("xb") as new:
        while chunk := old.read(CHUNK_BYTES):
            digest.update(chunk)
            new.write(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()
