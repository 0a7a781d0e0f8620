"""Values of Docker's ``ENV`` instruction, to which Cog writes the lines of ``environment:``: quotes and variables.

Docker's reference for Dockerfiles has the rules. All lines become one instruction, so a value sees the variables from
before it, not those of the other lines. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?::(?P<how>[-+])(?P<word>[^}]*))?\})", re.ASCII
)


def expand(value: str, variables: Mapping[str, str]) -> str:
    """Return what a value stands for.

    Args:
        value: as cog.yaml has it. ``$NAME``, ``${NAME}``, ``${NAME:-default}`` and ``${NAME:+instead}`` are replaced;
            not in single quotes, nor after a backslash. Quotes are removed.
        variables: those that are set before; another one counts as empty.
    """
    result: list[str] = []
    quote = ""
    at = 0
    while at < len(value):
        char = value[at]
        if quote == "'" and char != "'":
            result.append(char)
        elif char == "\\" and at + 1 < len(value):
            following = value[at + 1]
            kept = quote == '"' and following not in '"$\\'
            result.append(f"\\{following}" if kept else following)
            at += 1
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        elif char == "$" and (match := _VARIABLE.match(value, at)):
            result.append(_value_of(match, variables))
            at = match.end() - 1
        else:
            result.append(char)
        at += 1
    return "".join(result)


def _value_of(match: re.Match[str], variables: Mapping[str, str]) -> str:
    found = variables.get(match["plain"] or match["name"], "")
    word = match["word"] or ""
    if match["how"] == "-":
        return found or expand(word, variables)
    if match["how"] == "+":
        return expand(word, variables) if found else ""
    return found
