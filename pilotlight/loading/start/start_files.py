"""What a start reads from the disk, recorded once, so that a cold node reads it in one sweep.

With an empty page cache a start waits for the disk hundreds of times: for every module, then for pieces of the
runtime's libraries, then for the weights. ``start-files.json``, beside ``cog.yaml``, says which bytes of which files
these are; ``read_ahead`` has the system read all of them at once while the interpreter goes on. Paths are kept relative
to where the interpreter and the project lie, so that a list made on one machine serves in an image.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.config.variables import READ_AHEAD
from pilotlight.loading.start.residency import resident_share
from pilotlight.util.files import write_atomically

__all__ = ["NAME", "FileRanges", "Places", "read_ahead", "read_list", "write_list"]

log = logging.getLogger(__name__)

NAME = "start-files.json"
_FORMAT = "pilotlight-start-files"
_VERSION = 1
_ENOUGH = 0.9  # with so much of what was recorded in memory, the start is no cold one
_LOOK_AT = 2  # of the largest files, to find that out


@dataclass(frozen=True, slots=True)
class FileRanges:
    """A file, and the ranges of it that are read.

    Attributes:
        path: absolute, or below one of ``Places``.
        ranges: offset and length in bytes of each piece, in their order.
    """

    path: str
    ranges: tuple[tuple[int, int], ...]

    @property
    def read_bytes(self) -> int:
        return sum(length for _, length in self.ranges)


@dataclass(frozen=True, slots=True)
class Places:
    """Folders whose place differs between machines, by the names that paths in a list begin with."""

    folders: Mapping[str, Path]

    @classmethod
    def of(cls, python: Path, project: Path) -> Places:
        """Return the folders of an interpreter (environment and installation) and of a project."""
        return cls(
            {
                "{project}": project.resolve(),
                "{environment}": python.absolute().parent.parent,
                "{python}": python.resolve().parent.parent,
            }
        )

    def shorten(self, path: Path) -> str:
        holding = [(len(folder.parts), name) for name, folder in self.folders.items() if path.is_relative_to(folder)]
        if not holding:
            return str(path)
        _, name = max(holding)  # an environment may lie within the project
        return f"{name}/{path.relative_to(self.folders[name])}"

    def expand(self, path: str) -> Path:
        name, _, rest = path.partition("/")
        folder = self.folders.get(name)
        return folder / rest if folder is not None else Path(path)


def write_list(path: Path, files: Sequence[FileRanges]) -> None:
    """Write the list to ``path``, one line for each file, so that two lists can be compared.

    Raises:
        OSError: it cannot be written.
    """
    lines = ",\n".join(json.dumps([file.path, file.ranges]) for file in files)
    head = json.dumps({"format": _FORMAT, "format_version": _VERSION})[:-1]
    write_atomically(path, f'{head}, "files": [\n{lines}\n]}}\n')


def read_list(path: Path) -> list[FileRanges]:
    """Return a list that ``write_list`` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or (document.get("format"), document.get("format_version")) != (
        _FORMAT,
        _VERSION,
    ):
        raise ValueError(
            f"it was written by another version of pilotlight; make it again with: pilotlight start-files {path.parent}"
        )
    return [FileRanges(name, tuple((start, size) for start, size in ranges)) for name, ranges in document["files"]]


def read_ahead(
    project: Path, python: Path | None = None, environ: Mapping[str, str] = os.environ
) -> threading.Thread | None:
    """Have the system read what a project's list names, on a thread that ends by itself.

    It never fails, and does nothing where there is no list, where the page cache has most of it already, where the
    system takes no such advice, or where ``PILOTLIGHT_READ_AHEAD=0``.

    Args:
        project: its folder.
        python: the interpreter that it runs on; this one when not given.
        environ: where to look for the variable.
    """
    path = project / NAME
    if not READ_AHEAD.read(environ) or not hasattr(os, "posix_fadvise") or not path.is_file():
        return None
    places = Places.of(python or Path(sys.executable), project)
    thread = threading.Thread(target=_run, args=(path, places), name="read-ahead", daemon=True)
    thread.start()
    return thread


def _run(path: Path, places: Places) -> None:
    try:
        files = read_list(path)
        if _cold(files, places):
            _sweep(files, places)
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is not used: %s", path, error)


def _cold(files: Sequence[FileRanges], places: Places) -> bool:
    """Return whether a good part of the largest files is not in memory."""
    largest = sorted(files, key=lambda file: file.read_bytes, reverse=True)[:_LOOK_AT]
    return any(share < _ENOUGH for share in _shares(largest, places))


def _shares(files: Iterable[FileRanges], places: Places) -> Iterator[float]:
    """Return the share of the recorded ranges of each file that is in memory."""
    for file in files:
        path = places.expand(file.path)
        try:
            size_bytes = path.stat().st_size
            yield resident_share(path) * size_bytes / max(1, min(file.read_bytes, size_bytes))
        except OSError:
            continue


def _sweep(files: Iterable[FileRanges], places: Places) -> None:
    """Start another process that has the system read everything, in the order of the list."""
    import subprocess  # most starts have no use for it

    pieces = [
        b"%d %d %s\n" % (start, size, os.fsencode(path))
        for file in files
        if "\n" not in (path := str(places.expand(file.path)))
        for start, size in file.ranges
    ]
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("sweep.py"))]
    subprocess.run(program, input=b"".join(pieces), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
