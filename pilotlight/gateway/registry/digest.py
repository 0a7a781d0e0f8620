"""The id of a version: a hash of what is in a project's folder.

Two folders with the same code, configuration and weights have the same id, wherever they lie. Small files count by
their content; a large one by the sha256 that a ``manifest.json`` beside it states, or else by its size and the time of
its last change, so that the id costs no reading of gigabytes. Hidden files and folders, ``__pycache__``,
``node_modules``, virtual environments and what ``.dockerignore`` lists do not count, nor does what ``predict`` and
``bench`` write into the project's folder by default.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import ConfigError, WeightsError
from pilotlight.loading.files.manifest import read_manifest
from pilotlight.loading.files.names import MANIFEST_NAME
from pilotlight.runtime.dockerignore import IGNORE_NAME, DockerIgnore, parse_dockerignore
from pilotlight.runtime.project import CONFIG_NAME

# Above this a file is data: code and configuration stay far below it.
LARGE_BYTES = 1 << 20

_LEFT_OUT = {"__pycache__", "node_modules"}
_ENVIRONMENT_MARK = "pyvenv.cfg"
# The default names of files that commands write; the second number is that of one of several files of an output.
_WRITTEN = re.compile(r"output(\.\d+)?\.[a-z0-9]+|bench-[a-z]+-\d{8}-\d{6}\.json")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file of a version.

    Attributes:
        path: its path within the project, with forward slashes.
        identity: what distinguishes it from another file at the same path, such as ``sha256:...``.
    """

    path: str
    identity: str


def version_id(entries: Iterable[Entry]) -> str:
    """Return the id, 64 hex digits, of the version with these files, in any order. Pure."""
    digest = hashlib.sha256(b"pilotlight version 1\n")
    for entry in sorted(entries):
        # A path may hold any character but NUL, an identity neither NUL nor a line's end.
        digest.update(f"{entry.path}\0{entry.identity}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """One file in a project's folder.

    Attributes:
        path: its path within the project, with forward slashes.
        file: its path on the disk.
        size_bytes: its size.
        stated_sha256: what a ``manifest.json`` beside it says of a file of this size; ``""`` where none does.
    """

    path: str
    file: Path
    size_bytes: int
    stated_sha256: str


def list_entries(root: Path) -> list[Entry]:
    """Return the files of the project in ``root`` that make up its version.

    Raises:
        ConfigError: a file cannot be read.
    """
    with _readable(root):
        return [Entry(source.path, _identity(source)) for source in _sources(root)]


def list_sources(root: Path) -> list[Source]:
    """Return the same files without reading them.

    Raises:
        ConfigError: a folder cannot be read.
    """
    with _readable(root):
        return list(_sources(root))


@contextlib.contextmanager
def _readable(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read, so {root} has no version: {error.strerror}") from error


def _sources(root: Path) -> Iterator[Source]:
    for folder, files in _folders(root, _ignored(root)):
        stated = _stated(folder)
        for path in files:
            size_bytes = path.stat().st_size
            stated_bytes, sha256 = stated.get(path.name, (-1, ""))
            found = sha256 if stated_bytes == size_bytes else ""
            yield Source(path.relative_to(root).as_posix(), path, size_bytes, found)


def _ignored(root: Path) -> DockerIgnore:
    path = root / IGNORE_NAME
    if not path.is_file():
        return DockerIgnore()
    return parse_dockerignore(path.read_text(encoding="utf-8", errors="replace"), where=str(path))


def _folders(root: Path, ignored: DockerIgnore) -> Iterator[tuple[Path, list[Path]]]:
    """Yield every folder that counts, with its files; links are followed, but no folder is entered twice."""
    seen = set()
    for name, folders, files in os.walk(root, followlinks=True, onerror=_raise):
        folder = Path(name)
        if _ENVIRONMENT_MARK in files or folder.resolve() in seen:
            folders.clear()
            continue
        seen.add(folder.resolve())
        within = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
        folders[:] = sorted(
            one
            for one in folders
            if not one.startswith(".")
            and one not in _LEFT_OUT
            and (ignored.has_exceptions or not ignored(within + one))
        )
        # Docker reads its own two files whatever is ignored, and so do we with ours.
        kept = [one for one in files if not one.startswith(".") and (within or not _WRITTEN.fullmatch(one))]
        paths = [folder / one for one in kept if within + one == CONFIG_NAME or not ignored(within + one)]
        yield folder, [path for path in paths if path.is_file()]


def _raise(error: OSError) -> None:
    raise error


def _stated(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and sha256 by name, of the files that the folder's manifest lists; empty without a valid one."""
    if not (folder / MANIFEST_NAME).is_file():
        return {}
    try:
        return {file.name: (file.size_bytes, file.sha256) for file in read_manifest(folder).files}
    except WeightsError:
        return {}  # somebody else's manifest.json


def _identity(source: Source) -> str:
    stat = source.file.stat()
    if source.size_bytes <= LARGE_BYTES:
        return by_content(hashlib.sha256(source.file.read_bytes()).hexdigest())
    if source.stated_sha256:
        return by_content(source.stated_sha256)
    return f"size:{stat.st_size}:changed:{stat.st_mtime_ns}"


def by_content(sha256: str) -> str:
    """Return the identity of a file that counts by its content."""
    return f"sha256:{sha256}"
