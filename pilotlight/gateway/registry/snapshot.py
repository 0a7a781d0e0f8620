"""Snapshots: a project's folder as it is now, stored as a version, with a folder of its own to run from.

The files are stored by content. The folder appears whole or not at all, and is not used until the registry names it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import ConfigError, StoreError, UsageError
from pilotlight.gateway.registry.blobs import Blobs
from pilotlight.gateway.registry.digest import LARGE_BYTES, Entry, Source, by_content, list_sources, version_id
from pilotlight.loading.files.manifest import sha256_of
from pilotlight.loading.files.names import MANIFEST_NAME
from pilotlight.loading.progress import Watcher
from pilotlight.runtime import Project
from pilotlight.runtime.dockerignore import IGNORE_NAME

# On a progress display one line is enough for all of them.
_SMALL_FILES = "small files"


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One file of a version: its path with forward slashes, its content, and whether it can be run."""

    path: str
    sha256: str
    size_bytes: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a project.

    Attributes:
        id: the id of the version; the same for the same files.
        files: all files.
    """

    id: str
    files: tuple[SnapshotFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def take_snapshot(project: Project, blobs: Blobs, *, link: bool, watcher: Watcher) -> Snapshot:
    """Copy the files of a project to ``blobs``, as far as their content is not there yet.

    A file that a ``manifest.json`` describes is read only where its content is not there.

    Raises:
        ConfigError: a file cannot be read, or what cog.yaml names is left out by ``.dockerignore``.
        UsageError: a file is not what its manifest says.
        StoreError: they cannot be written.
    """
    sources = list_sources(project.root)
    _require_predictor(project, sources)
    progress = _Progress(sources, watcher)
    try:
        files = tuple(_take(source, blobs, link=link, on_bytes=progress.of(source)) for source in sources)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}; nothing was pushed") from error
    return Snapshot(version_id(Entry(file.path, by_content(file.sha256)) for file in files), files)


def restore(snapshot: Snapshot, blobs: Blobs, folder: Path) -> None:
    """Make ``folder`` with exactly the files of a snapshot, in one step; its parent must exist.

    Raises:
        StoreError: it cannot be written.
    """
    draft = folder.with_name(f".{folder.name[:12]}.{secrets.token_hex(4)}")
    try:
        for file in snapshot.files:
            target = draft / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            blobs.put(file.sha256, target, executable=file.executable)
        draft.rename(folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_predictor(project: Project, sources: Sequence[Source]) -> None:
    paths = {source.file.resolve() for source in sources}
    if project.predict_file.resolve() not in paths:
        raise ConfigError(
            f"{project.predict_file} would be no part of the version: {IGNORE_NAME} lists it, or it lies in a hidden "
            "folder; take it out of there"
        )


def _take(source: Source, blobs: Blobs, *, link: bool, on_bytes: Callable[[int], None]) -> SnapshotFile:
    stated = source.stated_sha256 if source.size_bytes > LARGE_BYTES else ""
    sha256 = stated
    if not stated:
        sha256 = sha256_of(source.file, on_bytes=on_bytes)
        on_bytes(-source.size_bytes)  # it is read once more where its content is not stored
    if blobs.has(sha256, source.size_bytes):
        on_bytes(source.size_bytes)
    else:
        sha256 = blobs.add(source.file, link=link, on_bytes=on_bytes)
    if stated not in ("", sha256):
        raise UsageError(
            f"{source.file} is not what the {MANIFEST_NAME} beside it says: "
            f"look at it with `pilotlight weights verify {source.file.parent}`, or fetch it again"
        )
    # The size of what is stored: the file itself may have changed since it was listed.
    size_bytes = blobs.path(sha256).stat().st_size
    return SnapshotFile(source.path, sha256, size_bytes, os.access(source.file, os.X_OK))


class _Progress:
    """Reports large files to a watcher one by one, and all small ones as one."""

    def __init__(self, sources: Sequence[Source], watcher: Watcher) -> None:
        self._watcher = watcher
        self._sizes: dict[str, int] = {}
        self._done: dict[str, int] = {}
        for source in sources:
            name = self._name(source)
            self._sizes[name] = self._sizes.get(name, 0) + source.size_bytes
        watcher.planned(self._sizes)

    def of(self, source: Source) -> Callable[[int], None]:
        """Return a function to be called with how many more bytes of a file are done."""
        name = self._name(source)

        def advance(more_bytes: int) -> None:
            self._done[name] = self._done.get(name, 0) + more_bytes
            self._watcher.advanced(name, self._done[name], self._sizes[name])

        return advance

    def _name(self, source: Source) -> str:
        return source.path if source.size_bytes > LARGE_BYTES else _SMALL_FILES
