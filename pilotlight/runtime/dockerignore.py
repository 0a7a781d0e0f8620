r"""``.dockerignore``: which files of a project are left out of its image, by the rules of Docker's own matcher. Pure.

A pattern is a path from the project's root. ``*`` and ``?`` stay within one name, ``**`` stands for any number of
folders, ``[a-z]`` for one of these characters and ``[^a-z]`` for any other, and ``\`` takes the next character as it
is. A pattern that matches a folder matches all that is in it. ``!`` makes an exception, and the last pattern that
matches decides.

The rules are those of moby's ``patternmatcher`` 0.6, which ``docker build`` uses: Go's ``filepath.Clean`` and
``filepath.Match``, ``**``, and a literal text after a leading ``**``, which is compared with the end of the whole
path, so that ``**.txt`` matches ``a/b.txt``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pilotlight.errors import ConfigError

__all__ = ["IGNORE_NAME", "DockerIgnore", "parse_dockerignore"]

IGNORE_NAME = ".dockerignore"

# A character of a class, or a range of two: each is escaped, or neither "\", "-" nor "]".
_ONE = r"(?:\\.|[^\\\-\]])"
_CLASS = re.compile(rf"\[(\^?+)((?:{_ONE}(?:-{_ONE})?)+)\]", re.DOTALL)
_MEMBER = re.compile(rf"({_ONE})(?:-({_ONE}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """The patterns of a ``.dockerignore``.

    Attributes:
        rules: in the file's order: what a path looks like, and whether it is left out then.
    """

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()

    @property
    def has_exceptions(self) -> bool:
        """Whether a file in a folder that is left out may be in the image all the same."""
        return not all(leaves_out for _, leaves_out in self.rules)

    def __call__(self, path: str) -> bool:
        """Return whether ``path``, from the root and with forward slashes, is left out."""
        names = path.split("/")
        places = ["/".join(names[: count + 1]) for count in range(len(names))]
        left_out = False
        for pattern, leaves_out in self.rules:
            if leaves_out is not left_out and any(pattern.fullmatch(place) for place in places):
                left_out = leaves_out
        return left_out


def parse_dockerignore(text: str, *, where: str = IGNORE_NAME) -> DockerIgnore:
    """Return the rules in the text of a ``.dockerignore``, which came from ``where``.

    Raises:
        ConfigError: Docker would refuse a pattern; names its line.
    """
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        written = line.strip()
        if line.startswith("#") or not written:  # a "#" after a space is a name
            continue
        leaves_out = not written.startswith("!")
        try:
            expression = _expression(written.removeprefix("!").strip())
            rules.append((re.compile(expression, re.DOTALL), leaves_out))
        except (ValueError, re.error) as error:
            raise ConfigError(f"{where}, line {number}: {written!r} is no pattern: {error}; correct it") from error
    return DockerIgnore(tuple(rules))


def _expression(written: str) -> str:
    """Return the regular expression that matches the paths that a pattern does.

    Raises:
        ValueError: it is no pattern.
    """
    if not written:
        raise ValueError("a path has to follow the '!'")
    pattern = posixpath.normpath(written).lstrip("/")
    pieces = list(_pieces(pattern))
    literal = pattern.removeprefix("**")
    if literal not in (pattern, "") and not any(char in literal for char in "*?[]\\"):
        name = literal.removeprefix("/")
        return rf"(?:.*/)?{re.escape(name)}" if name != literal else f".*{re.escape(literal)}"
    return "".join(pieces)


def _pieces(pattern: str) -> Iterator[str]:
    rest = pattern
    while rest:
        if rest.startswith("**"):
            rest = rest[2:].removeprefix("/")
            yield "(?:.*/)?" if rest else ".*"
        elif rest[0] == "[":
            match = _CLASS.match(rest)
            if match is None:
                raise ValueError("a '[' starts characters such as [a-z], with '\\' before a '-' or ']' of their own")
            yield f"[{match[1]}{_MEMBER.sub(_member, match[2])}]"
            rest = rest[match.end() :]
        elif rest == "\\":
            raise ValueError("nothing follows the '\\'")
        elif rest[0] == "\\":
            yield re.escape(rest[1])
            rest = rest[2:]
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(rest[0]) or re.escape(rest[0])
            rest = rest[1:]


def _member(match: re.Match[str]) -> str:
    first, last = (None if one is None else re.escape(one[-1]) for one in match.groups())
    return str(first) if last is None else f"{first}-{last}"
