"""The ``def`` of a handler as the source has it, for decorators that hide the function behind another signature.

Cog's build tool reads the source, and coglet calls the handler with keywords, so a decorator without
``functools.wraps`` changes neither the schema nor the call.
"""

from __future__ import annotations

import ast
import inspect
import pathlib
import types
from typing import Any


def hidden_function(module: types.ModuleType, ref_name: str, handler: Any, method: str | None) -> tuple[Any, bool]:
    """Return the handler's own function, and whether the source marks it ``@streaming``.

    Args:
        module: the user's module, imported.
        ref_name: the class or function that the reference names.
        handler: what Python calls.
        method: the method's name where the reference names a class.

    Returns:
        The handler without its wrappers where they tell of it (``functools.wraps``), or where the source has no such
        ``def``; else a function with the parameters, defaults and annotations of that ``def``, and an empty body.
    """
    function = inspect.unwrap(handler)
    found = _definition(module, ref_name, method)
    if found is None or not found[0].decorator_list or _is_that(function, found[0], module):
        return function, False
    definition, tree = found
    streaming = any(_names_streaming(decorator) for decorator in definition.decorator_list)
    namespace: dict[str, Any] = {}
    owner = getattr(module, ref_name)
    scope = {**vars(module), **(vars(owner) if method is not None else {})}
    exec(_bare(definition, tree, str(module.__file__)), scope, namespace)  # noqa: S102 - the user's own def
    return namespace[definition.name], streaming


def _definition(
    module: types.ModuleType, ref_name: str, method: str | None
) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ast.Module] | None:
    try:
        tree = ast.parse(pathlib.Path(str(module.__file__)).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    body: list[ast.stmt] = tree.body
    if method is not None:
        owners = [node for node in body if isinstance(node, ast.ClassDef) and node.name == ref_name]
        body = owners[-1].body if owners else []
    name = method or ref_name
    functions = [
        node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    return (functions[-1], tree) if functions else None


def _is_that(function: Any, definition: ast.FunctionDef | ast.AsyncFunctionDef, module: types.ModuleType) -> bool:
    """Whether a function was made by that ``def``; its first line is that of the first decorator."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename != module.__file__:
        return False
    return code.co_firstlineno in range(definition.decorator_list[0].lineno, definition.lineno + 1)


def _bare(definition: ast.FunctionDef | ast.AsyncFunctionDef, tree: ast.Module, filename: str) -> types.CodeType:
    """Compile the ``def`` without its decorators and its body, under the source's ``from __future__`` imports."""
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    definition.decorator_list = []
    definition.body = [ast.copy_location(ast.Pass(), definition)]
    return compile(ast.Module([*futures, definition], []), filename, "exec", dont_inherit=True)


def _names_streaming(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", None)
    return name == "streaming"
