"""Read the project's own modules, their functions, and which function can reach which, without importing them.

Names are resolved through imports only. What cannot be resolved (a method of some object) is not followed, so the
rules report less.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Function", "FunctionNode", "Module", "SourceTree", "dotted", "read_sources", "resolve"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

# The most modules that are read; more would take seconds.
_MOST_MODULES = 300


@dataclass(frozen=True, slots=True)
class Module:
    """One source file.

    Attributes:
        name: the dotted name, as the project imports it.
        path: the path relative to the project.
        aliases: the full name for each name that an import anywhere in the file binds.
    """

    name: str
    path: str
    tree: ast.Module
    aliases: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """A function or a method; ``owner`` is the method's class."""

    module: Module
    node: FunctionNode
    owner: ast.ClassDef | None = None


class SourceTree:
    """The predictor's file and the project modules that it imports, the predictor's file first."""

    def __init__(self, modules: list[Module]) -> None:
        self.modules = modules
        self._functions: dict[str, Function] = {}
        self._classes: dict[str, tuple[Module, ast.ClassDef]] = {}
        for module in modules:
            for node in module.tree.body:
                if isinstance(node, FunctionNode):
                    self._functions[f"{module.name}.{node.name}"] = Function(module, node)
                elif isinstance(node, ast.ClassDef):
                    self._classes[f"{module.name}.{node.name}"] = (module, node)

    def function(self, module: Module, name: str) -> Function | None:
        """Return a function of a module by its name."""
        return self._functions.get(f"{module.name}.{name}")

    def method(self, module: Module, owner: str, *names: str) -> Function | None:
        """Return the first of these methods that a class or one of its bases in the project defines."""
        pending, seen = [f"{module.name}.{owner}"], set[str]()
        while pending:
            place = pending.pop(0)
            if place in seen or place not in self._classes:
                continue
            seen.add(place)
            home, cls = self._classes[place]
            methods = {node.name: node for node in cls.body if isinstance(node, FunctionNode)}
            found = next((methods[name] for name in names if name in methods), None)
            if found is not None:
                return Function(home, found, cls)
            pending += [resolve(home, base) for base in cls.bases]
        return None

    def reachable(self, start: Function) -> list[Function]:
        """Return ``start`` and every function that it can call or pass on, as far as names can be resolved."""
        found = {id(start.node): start}
        pending = [start]
        while pending:
            for function in self._mentioned(pending.pop(0)):
                if id(function.node) not in found:
                    found[id(function.node)] = function
                    pending.append(function)
        return list(found.values())

    def _mentioned(self, function: Function) -> Iterator[Function]:
        module, owner = function.module, function.owner
        for node in ast.walk(function.node):
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            name = dotted(node)
            if owner is not None and name.startswith(("self.", "cls.")):
                found = self.method(module, owner.name, name.partition(".")[2])
            elif owner is not None and name == "cls":
                found = self.method(module, owner.name, "__init__")
            else:
                found = self._named(resolve(module, node))
            if found is not None:
                yield found

    def _named(self, name: str) -> Function | None:
        """Return a function, a class's ``__init__`` or a method by its dotted name."""
        if name in self._functions:
            return self._functions[name]
        if name in self._classes:
            module, cls = self._classes[name]
            return self.method(module, cls.name, "__init__")
        owner, _, method = name.rpartition(".")
        if owner in self._classes:
            module, cls = self._classes[owner]
            return self.method(module, cls.name, method)
        return None


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for such an expression, ``().c`` for an attribute of another, and an empty string otherwise."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '()'}.{node.attr}"
    return ""


def resolve(module: Module, node: ast.expr) -> str:
    """Return the result of ``dotted`` with the module's imports and own definitions written in full."""
    first, dot, rest = dotted(node).partition(".")
    defined = {one.name for one in module.tree.body if isinstance(one, FunctionNode | ast.ClassDef)}
    whole = module.aliases.get(first) or (f"{module.name}.{first}" if first in defined else first)
    return f"{whole}{dot}{rest}"


def read_sources(root: Path, predict_file: Path) -> SourceTree | None:
    """Return the predictor's file and its imports from the project; ``None`` when that file is not Python."""
    modules: dict[str, Module] = {}
    pending = [".".join(predict_file.relative_to(root).with_suffix("").parts)]
    while pending and len(modules) < _MOST_MODULES:
        name = pending.pop(0)
        path = _file_of(root, name)
        if name in modules or path is None:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        module = Module(name, path.relative_to(root).as_posix(), tree)
        modules[name] = module
        for target, local, full in _imports(tree, name, is_package=path.name == "__init__.py"):
            module.aliases[local] = full
            pending.append(target)
            # `from package import name` may import a module or an attribute of the package.
            pending.append(full)
    return SourceTree(list(modules.values())) if modules else None


def _file_of(root: Path, name: str) -> Path | None:
    if not name:
        return None
    base = root.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _imports(tree: ast.Module, name: str, *, is_package: bool) -> Iterator[tuple[str, str, str]]:
    """Yield for every import: the module, the local name, and the full name that the local one stands for."""
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                first = item.name.partition(".")[0]
                yield item.name, item.asname or first, item.name if item.asname else first
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for item in node.names:
                yield source, item.asname or item.name, f"{source}.{item.name}"
