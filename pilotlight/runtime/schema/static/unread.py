"""What Cog's build tool passes over in an ``Input(...)``: values that would have to be computed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pilotlight.runtime.schema.static.literals import Constants, number_of, text_of, value_of
from pilotlight.runtime.schema.static.source import SourceFile

_TEXTS = ("default", "description", "regex")
_LIMITS = ("ge", "le", "min_length", "max_length")


@dataclass(frozen=True, slots=True)
class UnreadArgument:
    """An argument of one ``Input(...)`` that the build tool passes over; ``text`` is its code."""

    keyword: str
    text: str
    line: int
    in_pieces: bool = False


@dataclass(frozen=True, slots=True)
class UnreadValue:
    """An argument that the build tool passes over, and of which input.

    Attributes:
        file: the source file, relative to the project.
        line: the line to change.
        input: the input's name.
        keyword: the argument of ``Input``.
        text: its code.
        in_pieces: whether it is a string of several literals, which the build tool takes for one with quotes in it.
    """

    file: str
    line: int
    input: str
    keyword: str
    text: str
    in_pieces: bool = False

    @property
    def problem(self) -> str:
        """What the build tool makes of it, and what to write."""
        if self.in_pieces:
            problem = f"the {self.keyword} of {self.input} is a string in pieces, and has the quotes between them in it"
            return f"{problem}; write one literal"
        effect = f"{self.input} is required" if self.keyword == "default" else f"{self.input} has no {self.keyword}"
        advice = f"write {self.keyword}=... with a literal"
        return f"{self.text} is not read from source, so {effect}; {advice}"


def unread_arguments(source: SourceFile, node: ast.Call, constants: Constants) -> Iterator[UnreadArgument]:
    """Yield the arguments that change what an input takes and that the build tool does not read."""
    for position, value in enumerate(node.args):
        if position == 0:
            yield UnreadArgument("default", source.text_of(value), value.lineno)
    for keyword in node.keywords:
        name, value = keyword.arg, keyword.value
        if isinstance(value, ast.Constant) and value.value is None:
            continue
        if name in _TEXTS and source.is_in_pieces(value):
            yield UnreadArgument(name, source.text_of(value), value.lineno, in_pieces=True)
        elif (
            (name == "default" and value_of(source, value, constants) is None)
            or (name in _LIMITS and number_of(source, value) is None)
            or (name == "regex" and (text_of(source, value) is None or not isinstance(value, ast.Constant)))
        ):
            yield UnreadArgument(str(name), f"{name}={source.text_of(value)}", value.lineno)
