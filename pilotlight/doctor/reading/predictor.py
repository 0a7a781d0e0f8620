"""Turn the predictor's source into facts: the calls by phase, and the inputs in the signature."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pilotlight.doctor.facts import CallFact, Code, InputFact, Phase
from pilotlight.doctor.reading.sources import Function, FunctionNode, Module, SourceTree, dotted, read_sources, resolve
from pilotlight.doctor.vocabulary import is_loader

__all__ = ["read_code"]

_METRIC_CALLS = ("record_metric", "emit_metric", "metrics.record")
_UNKNOWN = object()
_BOUNDS = frozenset({"ge", "le", "choices"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def read_code(root: Path, predict_file: Path, predict_name: str) -> Code | None:
    """Return the facts of the predictor's file and the project modules it imports; ``None`` if it is not Python."""
    sources = read_sources(root, predict_file)
    if sources is None:
        return None
    home = sources.modules[0]
    predict = sources.method(home, predict_name, "run", "predict") or sources.function(home, predict_name)
    if predict is None:
        return Code(where=f"{home.path}:1")
    setup = sources.method(home, predict_name, "setup")
    health = sources.method(home, predict_name, "healthcheck")
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(predict.node))
    return Code(
        where=_where(predict.module, predict.node),
        is_async=isinstance(predict.node, ast.AsyncFunctionDef),
        is_generator=yields,
        healthcheck="none" if health is None else _healthcheck(health.node),
        healthcheck_where="" if health is None else _where(health.module, health.node),
        inputs=tuple(_inputs(predict)),
        calls=tuple(_calls(sources, setup, predict)),
        loaded=() if setup is None else tuple(dict.fromkeys(_loaded(sources.reachable(setup)))),
        records_metrics=any(_records_metrics(module) for module in sources.modules),
    )


def _calls(sources: SourceTree, setup: Function | None, predict: Function) -> Iterator[CallFact]:
    for module in sources.modules:
        for node in _own_nodes(module.tree):
            if isinstance(node, ast.Call):
                yield _call(node, module, "import", frozenset())
    phases: list[tuple[Phase, Function | None]] = [("setup", setup), ("predict", predict)]
    for phase, start in phases:
        for function in sources.reachable(start) if start else ():
            guarded = frozenset(_guarded(function.node))
            on_loop = frozenset(_on_loop(function.node))
            for node in (inner for statement in function.node.body for inner in ast.walk(statement)):
                if isinstance(node, ast.Call):
                    yield _call(node, function.module, phase, guarded, on_loop)


def _call(
    node: ast.Call, module: Module, phase: Phase, guarded: frozenset[int], on_loop: frozenset[int] = frozenset()
) -> CallFact:
    first = node.args[0] if node.args else None
    named = {one.arg: one.value for one in node.keywords if one.arg}
    values = {name: _value(value, module) for name, value in named.items()}
    text = _value(first, module)
    return CallFact(
        where=_where(module, node),
        name=resolve(module, node.func),
        phase=phase,
        argument=text if isinstance(text, str) else None,
        first=ast.unparse(first) if first else "",
        keywords={name: value for name, value in values.items() if value is not _UNKNOWN},
        sources={name: ast.unparse(value) for name, value in named.items()},
        guarded=id(node) in guarded,
        on_loop=id(node) in on_loop,
    )


def _value(node: ast.expr | None, module: Module) -> Any:
    """Return the value of a literal, or of a name that the module assigns exactly once."""
    if isinstance(node, ast.Name):
        given = [
            one.value
            for one in module.tree.body
            if isinstance(one, ast.Assign | ast.AnnAssign) and node.id in map(dotted, _targets(one))
        ]
        node = given[0] if len(given) == 1 else None
    return node.value if isinstance(node, ast.Constant) else _UNKNOWN


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes in a scope, without those of functions and classes within it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, _SCOPES):
            yield node
            yield from _own_nodes(node)


def _guarded(function: FunctionNode) -> Iterator[int]:
    """Yield the calls that may not happen each time: below an ``if`` or ``except``, or all of a cached function."""
    cached = any("cache" in ast.unparse(one) for one in function.decorator_list)
    for node in [function] if cached else ast.walk(function):
        if cached or isinstance(node, ast.If | ast.IfExp | ast.BoolOp | ast.ExceptHandler):
            yield from (id(inner) for inner in ast.walk(node) if isinstance(inner, ast.Call))


def _on_loop(function: FunctionNode) -> Iterator[int]:
    if isinstance(function, ast.AsyncFunctionDef):
        awaited = {id(node.value) for node in ast.walk(function) if isinstance(node, ast.Await)}
        yield from (id(node) for node in _own_nodes(function) if isinstance(node, ast.Call) and id(node) not in awaited)


def _loaded(functions: list[Function]) -> Iterator[str]:
    """Yield ``self.x`` for every assignment to it of a loader's result."""
    for function in functions:
        for node in ast.walk(function.node):
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            calls = (one for one in ast.walk(node.value) if isinstance(one, ast.Call))
            if any(is_loader(resolve(function.module, call.func)) for call in calls):
                yield from (dotted(target) for target in _targets(node) if dotted(target).startswith("self."))


def _healthcheck(function: FunctionNode) -> Literal["constant", "checks"]:
    """Return ``constant`` if it only returns ``True``."""
    body = [one for one in function.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    only = body[0] if len(body) == 1 else None
    value = only.value if isinstance(only, ast.Return) else None
    return "constant" if isinstance(value, ast.Constant) else "checks"


def _inputs(predict: Function) -> Iterator[InputFact]:
    arguments = predict.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    pairs = [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    for argument, default in pairs:
        if argument.arg in ("self", "cls"):
            continue
        called = default if isinstance(default, ast.Call) else None
        given = {one.arg for one in called.keywords} if called else set()
        words = ast.unparse(argument.annotation).replace("|", " ").split() if argument.annotation else []
        bare = {word.removeprefix("Optional[").rstrip("]") for word in words}
        yield InputFact(
            name=argument.arg,
            where=_where(predict.module, argument),
            number=bool(bare & {"int", "float"}),
            described="description" in given,
            bounded=bool(given & _BOUNDS) or any(word.startswith("Literal[") for word in words),
        )


def _records_metrics(module: Module) -> bool:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func).endswith(_METRIC_CALLS):
            return True
        if isinstance(node, ast.Subscript) and dotted(node.value).endswith("scope.metrics"):
            return True
    return False


def _where(module: Module, node: ast.AST) -> str:
    return f"{module.path}:{getattr(node, 'lineno', 1)}"
