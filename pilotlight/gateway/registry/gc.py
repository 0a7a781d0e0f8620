"""Removes files that nothing refers to: those of deleted versions, and of pushes that were killed.

A running gateway holds a lease on the folder of every version that it has a queue for; such a folder stays.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import StoreError
from pilotlight.gateway.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Garbage:
    """What nothing refers to; removed unless it was a dry run.

    Attributes:
        versions: ids of versions that no model has.
        in_use: ids of such versions that a gateway still uses; they stay.
        blobs: number of stored files that no version has.
        leftovers: number of files and folders that killed pushes have left.
        size_bytes: the space that all but those in use take on the disk.
    """

    versions: tuple[str, ...]
    in_use: tuple[str, ...]
    blobs: int
    leftovers: int
    size_bytes: int


class Lease:
    """Keeps the folder of a version from being removed until it is closed, or the process ends."""

    def __init__(self, folder: Path) -> None:
        self._handle: int | None = _open(folder)
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let the folder be removed. Safe to call twice."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def remove_unused(registry: Registry, *, dry_run: bool = False, on_wait: Callable[[], None] = lambda: None) -> Garbage:
    """Remove what nothing refers to, and return it; a dry run removes nothing.

    Raises:
        StoreError: a file cannot be removed.
    """
    with registry.lock(on_wait=on_wait):
        try:
            return _remove_unused(registry, dry_run=dry_run)
        except OSError as error:
            raise StoreError(f"{error.filename} cannot be removed: {error.strerror}") from error


def _remove_unused(registry: Registry, *, dry_run: bool) -> Garbage:
    versions, hashes = registry.needed()
    folders = list(registry.folders.iterdir()) if registry.folders.is_dir() else []
    # Hidden ones are copies that were being made or removed when a process was killed.
    leftovers = [folder for folder in folders if folder.name.startswith(".")]
    unneeded = [folder for folder in folders if folder not in leftovers and folder.name not in versions]
    in_use = [folder for folder in unneeded if _leased(folder)]
    blobs = [(sha256, size_bytes) for sha256, size_bytes in registry.blobs.all() if sha256 not in hashes]
    parts = registry.blobs.parts()
    going = [folder for folder in unneeded if folder not in in_use]
    size_bytes = sum(_own_bytes(folder) for folder in (*going, *leftovers, *parts)) + sum(size for _, size in blobs)
    if not dry_run:
        for folder in going:
            _remove(folder)
        for folder in leftovers:
            shutil.rmtree(folder)
        for sha256, _ in blobs:
            registry.blobs.remove(sha256)
        for part in parts:
            part.unlink()
    return Garbage(
        versions=tuple(sorted(folder.name for folder in going)),
        in_use=tuple(sorted(folder.name for folder in in_use)),
        blobs=len(blobs),
        leftovers=len(leftovers) + len(parts),
        size_bytes=size_bytes,
    )


def _leased(folder: Path) -> bool:
    handle = _open(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _remove(folder: Path) -> None:
    """Remove a folder, renamed first: a folder that has a version's name is whole."""
    hidden = folder.with_name(f".{folder.name[:12]}.{secrets.token_hex(4)}")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _own_bytes(place: Path) -> int:
    """Return the space that removing it frees: large files of a version are links to blobs, and are counted there."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(stat.st_size for stat in (file.lstat() for file in files) if stat.st_nlink == 1)
