"""Values that can be read from source: literals, and constants of the module."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pilotlight.runtime.schema.static.source import SourceFile

_LARGEST_PLAIN = 1e21
_INT64 = 2**63
_NO_NUMBERS = {"inf", "infinity", "nan"}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that the source states.

    Attributes:
        value: as JSON has it; a list for a tuple or a set, a list of pairs of literals for a dictionary.
        kind: ``none``, ``bool``, ``int``, ``float``, ``str``, ``list``, ``dict`` or ``set``.
    """

    value: Any
    kind: str

    def json(self) -> Any:
        """Return the value as it stands in the schema."""
        if self.kind in ("list", "set"):
            return [item.json() for item in self.value]
        if self.kind == "dict":
            return {_key(key): value.json() for key, value in self.value}
        return plain_number(self.value) if self.kind == "float" else self.value


Constants = Mapping[str, Literal]


def plain_number(value: float) -> int | float:
    """Return a float as Go writes it: without a fraction that is zero."""
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) < _LARGEST_PLAIN else value


def literal_of(source: SourceFile, node: ast.expr) -> Literal | None:
    """Return what ``node`` states; ``None`` for anything that would have to be computed."""
    if source.is_parenthesised(node):
        return None
    match node:
        case ast.Constant() | ast.JoinedStr():
            return _constant(source, node)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return _signed(source.text_of(node))
        case ast.List():
            return _items(source, node, node.elts, "list")
        case ast.Set():
            return _items(source, node, node.elts, "set")
        case ast.Tuple() if source.text_of(node).startswith("("):
            known = [literal_of(source, item) for item in node.elts]
            return Literal([item for item in known if item is not None], "list")
        case ast.Dict():
            return Literal(_pairs(source, node), "dict")
    return None


def text_of(source: SourceFile, node: ast.expr) -> str | None:
    """Return a string as it is spelled: without its quotes, escapes as they stand.

    It looks at the first and the last characters only, so ``'a' + 'b'`` is one string with a plus in it.
    """
    if source.is_parenthesised(node):
        return None
    text = source.text_of(node)
    for opening, length in (('"""', 3), ("'''", 3), ('"', 1), ("'", 1), ('r"', 2), ("r'", 2)):
        if text.startswith(opening):
            closing = 3 if length == 3 else 1
            return text[length:-closing] if len(text) >= length + closing else None
    return None


def text_or_constant(source: SourceFile, node: ast.expr, constants: Constants) -> str | None:
    """Return a string that stands here or in a constant of the module."""
    found = text_of(source, node)
    if found is None and isinstance(node, ast.Name) and not source.is_parenthesised(node):
        constant = constants.get(node.id)
        return constant.value if constant is not None and constant.kind == "str" else None
    return found


def number_of(source: SourceFile, node: ast.expr) -> float | None:
    """Return a number that is spelled out, with or without a sign; ``None`` for any expression.

    Raises:
        BuildRefusedError: it is no finite number.
    """
    text = source.text_of(node).strip()
    if source.is_parenthesised(node):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    if text.lstrip("+-").lower() in _NO_NUMBERS:
        raise source.refuse(node, f"{text} is no number for a schema; leave this limit out")
    return number if math.isfinite(number) else None


def value_of(source: SourceFile, node: ast.expr, constants: Constants) -> Literal | None:
    """Return a value that stands here or in a constant of the module."""
    found = literal_of(source, node)
    if found is None and isinstance(node, ast.Name) and not source.is_parenthesised(node):
        return constants.get(node.id)
    return found


def constants_of(source: SourceFile) -> dict[str, Literal]:
    """Return the names at the top of a module that stand for a value; the last one given counts."""
    found: dict[str, Literal] = {}
    for statement in source.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                literal = literal_of(source, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                literal = literal_of(source, value)
            case _:
                continue
        if literal is not None:
            found[name] = literal
    return found


def choices_of(source: SourceFile, node: ast.expr, constants: Constants) -> list[Literal] | None:
    """Return the choices of an input: a list, a constant, ``list(D.keys())``, or a sum of these."""
    if source.is_parenthesised(node):
        return None
    match node:
        case ast.List():
            found = literal_of(source, node)
        case ast.Name(id=name):
            found = constants.get(name)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            first = choices_of(source, left, constants)
            second = choices_of(source, right, constants)
            return None if first is None or second is None else first + second
        case ast.Call():
            return _keys_or_values(source, node, constants)
        case _:
            return None
    return list(found.value) if found is not None and found.kind == "list" else None


def _keys_or_values(source: SourceFile, node: ast.Call, constants: Constants) -> list[Literal] | None:
    match node:
        case ast.Call(
            func=ast.Name(id="list"),
            args=[ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="keys" | "values" as part)) as inner, *_],
        ) if not source.is_parenthesised(inner, sole_argument=True):
            found = constants.get(name)
            if found is not None and found.kind == "dict":
                return [key if part == "keys" else value for key, value in found.value]
    return None


def _constant(source: SourceFile, node: ast.Constant | ast.JoinedStr) -> Literal | None:
    value = node.value if isinstance(node, ast.Constant) else ""
    if value is None:
        return Literal(None, "none")
    if isinstance(value, bool):
        return Literal(value, "bool")
    if isinstance(value, int):
        return Literal(value, "int") if value < _INT64 else None
    if isinstance(value, float):
        return Literal(value, "float") if math.isfinite(value) else None
    if isinstance(value, str):
        text = text_of(source, node)
        return None if text is None else Literal(text, "str")
    return None


def _signed(text: str) -> Literal | None:
    if not re.fullmatch(r"[+-][\w.+-]+", text) or text[1] in "+-":
        return None
    try:
        whole = int(text, 0)
        if -_INT64 <= whole < _INT64:
            return Literal(whole, "int")
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return Literal(number, "float") if math.isfinite(number) else None


def _items(source: SourceFile, node: ast.expr, items: list[ast.expr], kind: str) -> Literal | None:
    """Return a list or set; a comment between its items makes it unreadable to Cog's tool."""
    known = [literal_of(source, item) for item in items]
    if source.has_comment_between(node, items):
        return None
    readable = [item for item in known if item is not None]
    return Literal(readable, kind) if len(readable) == len(items) else None


def _pairs(source: SourceFile, node: ast.Dict) -> list[tuple[Literal, Literal]]:
    pairs = [
        (literal_of(source, key), literal_of(source, value))
        for key, value in zip(node.keys, node.values, strict=True)
        if key is not None
    ]
    return [(key, value) for key, value in pairs if key is not None and value is not None]


def _key(key: Literal) -> str:
    if key.kind == "str":
        return str(key.value)
    shown = {"none": "<nil>", "bool": str(key.value).lower()}
    return shown.get(key.kind, str(key.json()))
