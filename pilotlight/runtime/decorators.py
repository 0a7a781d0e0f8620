"""What ``@cog.concurrent`` says, read from the source without running it.

Cog's build tool does the same: the decorator itself does nothing when the server runs, so whoever starts the server
has to look for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pilotlight.errors import ConfigError

_METHODS = ("run", "predict")


def concurrency_of(source: Path, name: str) -> int | None:
    """Return the ``max`` of ``@cog.concurrent`` on a predictor's method, or on the function itself.

    Only ``source`` is read: classes that it imports from elsewhere are not followed.

    Args:
        source: the Python file.
        name: a class or a function in it.

    Returns:
        The number; 1 for the bare decorator; ``None`` without one, and for a file that is not Python: its import will
        say so better.

    Raises:
        ConfigError: ``max`` is not a whole number above 0, written out.
    """
    try:
        tree = ast.parse(source.read_bytes(), filename=str(source))
    except (SyntaxError, ValueError):
        return None
    names = _local_names(tree)
    for function in _targets(tree, name):
        for decorator in function.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if ast.unparse(call.func if call else decorator) in names:
                return _maximum(call, f"{source}:{decorator.lineno}")
    return None


def _local_names(tree: ast.Module) -> set[str]:
    """Return how ``cog.concurrent`` can be written in this file, given its imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{item.asname or item.name}.concurrent" for item in node.names if item.name == "cog"}
        elif isinstance(node, ast.ImportFrom) and node.module == "cog" and node.level == 0:
            names |= {item.asname or item.name for item in node.names if item.name == "concurrent"}
    return names


def _targets(tree: ast.Module, name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the function called ``name``, or the run and predict methods of that class and of its bases."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            yield node
    pending, seen = [name], set[str]()
    while pending:
        current = classes.get(pending.pop(0))
        if current is None or current.name in seen:
            continue
        seen.add(current.name)
        methods = [
            node
            for node in current.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in _METHODS
        ]
        yield from methods
        if methods:
            return
        pending += [base.id for base in current.bases if isinstance(base, ast.Name)]


def _maximum(call: ast.Call | None, where: str) -> int:
    if call is None or not (call.args or call.keywords):
        return 1
    value = call.keywords[0].value if len(call.keywords) == 1 and not call.args else None
    if (
        isinstance(value, ast.Constant)
        and call.keywords[0].arg == "max"
        and type(value.value) is int
        and value.value >= 1
    ):
        return value.value
    raise ConfigError(f"{where}: {ast.unparse(call)}: write the limit out as a whole number above 0, such as max=4")
