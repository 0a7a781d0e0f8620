"""Which files of a project go into its image: Cog copies the folder, less what ``.dockerignore`` names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from pilotlight.doctor.facts import FileFact
from pilotlight.doctor.vocabulary import PICKLE_SUFFIXES

__all__ = ["ignored_by", "image_files"]

# A pickle of protocol 2 to 5, and the zip archive around one.
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
# A folder of more files than that (an environment, a data set) has said enough.
_MOST_FILES = 200_000


def image_files(root: Path) -> tuple[FileFact, ...]:
    """Every regular file that ``docker build`` would send, by path. Links are not followed: Docker sends them as such.

    Left out besides what ``.dockerignore`` names: ``.cog``, where Cog's tool and we keep what we make.
    """
    try:
        patterns = (root / ".dockerignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        patterns = ""
    ignored = ignored_by(f"{patterns}\n.cog")
    found: list[FileFact] = []
    for folder, folders, names in os.walk(root):
        relative = Path(folder).relative_to(root)
        if "!" not in patterns:  # nothing in a folder that is left out can come back
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


def _is_pickle(path: Path) -> bool:
    # By its content: a .bin may also be a compiled graph, and a .pt not even a file yet, but a pointer to one.
    if path.suffix.lower() not in PICKLE_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_PICKLE_STARTS)
    except OSError:
        return False


def ignored_by(text: str) -> Callable[[str], bool]:
    """Whether a path is left out by a ``.dockerignore`` of that text: the last pattern that fits it decides. Pure."""
    rules: list[tuple[re.Pattern[str], bool]] = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keeps = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip().strip("/").removeprefix("./")
        rules.append((re.compile(_expression(pattern)), keeps))

    def ignored(path: str) -> bool:
        for expression, keeps in reversed(rules):
            if expression.fullmatch(path):
                return not keeps
        return False

    return ignored


def _expression(pattern: str) -> str:
    """Docker's patterns are Go's ``filepath.Match`` with ``**`` for any number of folders; a folder means all in it."""
    result, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            result, rest = f"{result}(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            result, rest = f"{result}.*", rest[2:]
        elif rest[0] == "*":
            result, rest = f"{result}[^/]*", rest[1:]
        elif rest[0] == "?":
            result, rest = f"{result}[^/]", rest[1:]
        elif rest[0] == "[" and "]" in rest:
            inner, _, rest = rest[1:].partition("]")
            result += f"[{inner}]"
        else:
            result, rest = result + re.escape(rest[0]), rest[1:]
    return f"{result}(?:/.*)?"
