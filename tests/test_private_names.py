"""Tests use what is public: a private name may change with no one else's leave."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT

FILES = sorted(path for path in (ROOT / "tests").rglob("*.py") if "projects" not in path.parts)
OWN = {"self", "cls"}
# The standard library's, and those of clients that can be closed in no other way.
ALLOWED = {"_asdict", "_async_client", "_client", "_exit", "_fields", "_replace"}


def private_names(source: str) -> list[str]:
    """Return what code takes of other objects that begins with one underscore."""
    return [
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in OWN)
    ]


@pytest.mark.parametrize(
    ("source", "found"), [("self._a; a.b; a.__dict__", []), ("a._b", ["_b"]), ("self.a._b(c._d)", ["_b", "_d"])]
)
def test_private_names_are_seen(source: str, found: list[str]) -> None:
    assert private_names(source) == found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_test_uses_a_private_name(path: Path) -> None:
    assert set(private_names(path.read_text())) <= ALLOWED
