"""Type annotations as Cog's build tool takes them apart: names, generics and unions, nothing evaluated."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Literal

from pilotlight.runtime.schema.static.source import SourceFile

_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A type as it is written.

    Attributes:
        kind: a plain ``name``, a ``generic`` such as ``list[str]``, or a ``union``.
        name: the name, or that of the generic; empty for a union.
        args: the arguments of a generic, or the members of a union.
    """

    kind: Literal["name", "generic", "union"]
    name: str = ""
    args: tuple[Annotation, ...] = ()

    @property
    def is_none(self) -> bool:
        return self.kind == "name" and self.name == "None"

    def without_none(self) -> Annotation | None:
        """Return the other type of ``Optional[X]``, ``Union[X, None]`` or ``X | None``; else ``None``."""
        if self.kind == "generic" and self.name == "Optional" and len(self.args) == 1:
            return self.args[0]
        if self.kind == "union" or (self.kind == "generic" and self.name == "Union"):
            return other_than_none(self.args)
        return None


def other_than_none(members: tuple[Annotation, ...]) -> Annotation | None:
    """Return the other of two members, one of which is None."""
    if len(members) == 2:
        for one, other in (members, members[::-1]):
            if one.is_none:
                return other
    return None


def annotation_of(source: SourceFile, node: ast.expr) -> Annotation:
    """Return the type that ``node`` writes.

    Raises:
        BuildRefusedError: Cog's build tool cannot take it apart.
    """
    text = source.text_of(node)
    parsed: Annotation | None
    if source.is_parenthesised(node):
        parsed = None
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        parsed = parse(text.strip("\"'"))
    elif isinstance(node, ast.Subscript) and not isinstance(node.value, ast.Name):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        args = tuple(annotation_of(source, part) for part in parts)
        return Annotation("generic", source.text_of(node.value), args)
    else:
        parsed = parse(text)
    if parsed is None:
        raise source.refuse(node, f"the type {text} cannot be read; write a plain type such as str, list[str] or Path")
    return parsed


def parse(text: str) -> Annotation | None:
    """Return the type that a text writes, as in a quoted annotation; ``None`` where it cannot be taken apart."""
    text = text.strip()
    if len(text) >= 2 and text[0] in "\"'" and text[-1] == text[0]:
        return parse(text[1:-1])
    members = _split(text, "|")
    if len(members) > 1:
        parts = _all(members)
        return None if parts is None else Annotation("union", args=parts)
    outer, bracket, inner = text.partition("[")
    if bracket and text.endswith("]"):
        parts = _all(_split(inner[:-1], ","))
        return None if parts is None else Annotation("generic", outer.strip(), parts)
    return Annotation("name", text) if _NAME.fullmatch(text) else None


def _all(texts: list[str]) -> tuple[Annotation, ...] | None:
    parts = [parse(text) for text in texts]
    known = tuple(part for part in parts if part is not None)
    return known if len(known) == len(parts) else None


def _split(text: str, at: str) -> list[str]:
    """Split at a character that stands in no brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character == at and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
