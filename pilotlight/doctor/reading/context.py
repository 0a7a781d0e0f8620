"""Find the files of a project that go into its image: the folder without what ``.dockerignore`` excludes."""

from __future__ import annotations

import os
from pathlib import Path

from pilotlight.doctor.facts import FileFact
from pilotlight.doctor.vocabulary import PICKLE_SUFFIXES
from pilotlight.runtime.dockerignore import IGNORE_NAME, DockerIgnore, parse_dockerignore

__all__ = ["image_files"]

# A pickle of protocol 2 to 5, and the zip archive around one.
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
# The limit of files to read; a larger folder (an environment, a data set) shows nothing more.
_MOST_FILES = 200_000


def image_files(root: Path) -> tuple[FileFact, ...]:
    """Return every regular file that ``docker build`` would send, by path, except what is in ``.cog``.

    Links are not followed: Docker sends them as links.

    Raises:
        ConfigError: ``.dockerignore`` holds a pattern that Docker refuses.
    """
    ignored = _ignored(root)
    found: list[FileFact] = []
    for folder, folders, names in os.walk(root):
        relative = Path(folder).relative_to(root)
        if not ignored.has_exceptions:
            folders[:] = [name for name in folders if not ignored((relative / name).as_posix())]
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            place = (relative / name).as_posix()
            if not path.is_symlink() and path.is_file() and not ignored(place):
                found.append(FileFact(place, path.stat().st_size, _is_pickle(path)))
        if len(found) > _MOST_FILES:
            break
    return tuple(found)


def _ignored(root: Path) -> DockerIgnore:
    path = root / IGNORE_NAME
    try:
        patterns = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        patterns = ""
    return parse_dockerignore(f"{patterns}\n.cog", where=str(path))


def _is_pickle(path: Path) -> bool:
    # Judged by its content: a .bin may also be a compiled graph, and a .pt may be only a pointer file (Git LFS).
    if path.suffix.lower() not in PICKLE_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_PICKLE_STARTS)
    except OSError:
        return False
