"""``.dockerignore``: which files of a project are no part of it, by the rules of Docker's own matcher. Pure.

A pattern is a path from the project's root, in which ``*`` and ``?`` stay within one name, ``**`` does not, and
``[a-z]`` is one of these characters. What matches takes everything below it along. ``!`` takes back, and the last
pattern that matches decides.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pilotlight.errors import ConfigError

IGNORE_NAME = ".dockerignore"


@dataclass(frozen=True, slots=True)
class Ignored:
    """What a ``.dockerignore`` leaves out.

    Attributes:
        rules: in the file's order: what a path looks like, and whether it is left out then.
    """

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()

    @property
    def takes_back(self) -> bool:
        """Whether something in a folder that is left out may be part of the project all the same."""
        return not all(leaves_out for _, leaves_out in self.rules)

    def __call__(self, path: str) -> bool:
        """Whether ``path``, from the root and with forward slashes, is left out."""
        names = path.split("/")
        places = ["/".join(names[: count + 1]) for count in range(len(names))]
        left_out = False
        for pattern, leaves_out in self.rules:
            if leaves_out is not left_out and any(pattern.fullmatch(place) for place in places):
                left_out = leaves_out
        return left_out


def parse_ignore(text: str, *, where: str = IGNORE_NAME) -> Ignored:
    """The rules in the text of a ``.dockerignore``, which came from ``where``.

    Raises:
        ConfigError: a pattern makes no sense; names its line.
    """
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        written = line.strip()
        leaves_out = not written.startswith("!")
        pattern = posixpath.normpath(written.removeprefix("!").strip()).lstrip("/")
        if pattern in ("", "."):
            continue
        try:
            rules.append((re.compile("".join(_regex(pattern)), re.DOTALL), leaves_out))
        except re.error as error:
            raise ConfigError(f"{where}, line {number}: {written!r} is no pattern: {error}; correct it") from error
    return Ignored(tuple(rules))


def _regex(pattern: str) -> Iterator[str]:
    """The pieces of the regular expression that stands for a pattern."""
    rest = pattern
    while rest:
        if rest.startswith("**"):
            rest = rest.lstrip("*")
            # A `**` with more behind it stands for any number of whole names.
            yield "(?:.*/)?" if rest else ".*"
            rest = rest.removeprefix("/")
            continue
        char, rest = rest[0], rest[1:]
        if char == "*":
            yield "[^/]*"
        elif char == "?":
            yield "[^/]"
        elif char == "[" and (match := re.match(r"(\^?)((?:\\.|[^\]\\])+)\]", rest)):
            one_of = re.sub(r"\\?(.)", lambda found: "-" if found[0] == "-" else re.escape(found[1]), match[2])
            yield f"[{match[1]}{one_of}]"
            rest = rest[match.end() :]
        elif char == "\\" and rest:
            yield re.escape(rest[0])
            rest = rest[1:]
        else:
            yield re.escape(char)
