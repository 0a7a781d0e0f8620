"""The id of a version: a hash of what is in a project's folder.

Two folders with the same code, configuration and weights have the same id, wherever they lie. Small files count by
their content; a large one by the sha256 that a ``manifest.json`` beside it states, or else by its size and the time of
its last change, so that the id costs no reading of gigabytes. Hidden files and folders, ``__pycache__``,
``node_modules`` and virtual environments do not count. ``.dockerignore`` is not read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import ConfigError, WeightsError
from pilotlight.loading.manifest import read_manifest
from pilotlight.loading.names import MANIFEST_NAME

# Above this a file is data: code and configuration stay far below it.
LARGE_BYTES = 1 << 20

_LEFT_OUT = {"__pycache__", "node_modules"}
_ENVIRONMENT_MARK = "pyvenv.cfg"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file.

    Attributes:
        path: within the project, with forward slashes.
        identity: what tells it from another one at the same path, such as ``sha256:...``.
    """

    path: str
    identity: str


def version_id(entries: Iterable[Entry]) -> str:
    """64 hex digits for these files, in whatever order they come. Pure."""
    digest = hashlib.sha256(b"pilotlight version 1\n")
    for entry in sorted(entries):
        # A path may hold any character but NUL, an identity neither NUL nor a line's end.
        digest.update(f"{entry.path}\0{entry.identity}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def list_entries(root: Path) -> list[Entry]:
    """The files of the project in ``root`` that make up its version.

    Raises:
        ConfigError: a file cannot be read.
    """
    try:
        return [
            Entry(path.relative_to(root).as_posix(), _identity(path, stated))
            for folder, files in _folders(root)
            for stated in [_stated(folder)]
            for path in files
        ]
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read, so {root} has no version: {error.strerror}") from error


def _folders(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder that counts, with its files; links are followed, but no folder is entered twice."""
    seen = set()
    for name, folders, files in os.walk(root, followlinks=True, onerror=_raise):
        folder = Path(name)
        if _ENVIRONMENT_MARK in files or folder.resolve() in seen:
            folders.clear()
            continue
        seen.add(folder.resolve())
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in _LEFT_OUT)
        paths = [folder / one for one in files if not one.startswith(".")]
        yield folder, [path for path in paths if path.is_file()]


def _raise(error: OSError) -> None:
    raise error


def _stated(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and sha256 by name, of the files that the folder's manifest lists; empty without a valid one."""
    if not (folder / MANIFEST_NAME).is_file():
        return {}
    try:
        return {file.name: (file.size_bytes, file.sha256) for file in read_manifest(folder).files}
    except WeightsError:
        return {}  # somebody else's manifest.json


def _identity(path: Path, stated: dict[str, tuple[int, str]]) -> str:
    stat = path.stat()
    if stat.st_size <= LARGE_BYTES:
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    size_bytes, sha256 = stated.get(path.name, (-1, ""))
    if size_bytes == stat.st_size:
        return f"sha256:{sha256}"
    return f"size:{stat.st_size}:changed:{stat.st_mtime_ns}"
