"""Find a project's handler in its source and read its signature."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pilotlight.runtime.schema.document import Signature
from pilotlight.runtime.schema.static.annotations import annotation_of
from pilotlight.runtime.schema.static.errors import BuildRefusedError
from pilotlight.runtime.schema.static.inputs import Function, InputReader
from pilotlight.runtime.schema.static.literals import literal_of
from pilotlight.runtime.schema.static.models import Module, Modules
from pilotlight.runtime.schema.static.output_types import OutputTypes
from pilotlight.runtime.schema.static.types import UnsupportedTypeError
from pilotlight.runtime.schema.static.unread import UnreadValue

Verb = Literal["predict", "train"]
Found = tuple[Module, Function]


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler as Cog's build tool reads it.

    Attributes:
        signature: what it reads.
        unread: what it passes over, though Python would use it.
        files: the files that were looked for, relative to the project, whether they are there or not.
    """

    signature: Signature
    unread: tuple[UnreadValue, ...]
    files: tuple[str, ...]


def read_handler(root: Path, ref: str, verb: Verb = "predict") -> Handler:
    """Return the handler of ``ref``, such as ``predict.py:Predictor``, as Cog's build tool reads it from source.

    Only files are read; nothing is imported or executed.

    Raises:
        BuildRefusedError: Cog's build tool does not take it; the message says where and what to change.
        UnknownSyntaxError: the file is not valid for the running Python.
    """
    name, _, target = ref.partition(":")
    modules = Modules(root)
    main = modules.read(PurePosixPath(name))
    module, function = _Finder(modules, verb).find(main, target)
    reader = InputReader(module)
    inputs = reader.inputs(function)
    output = _output(module, function)
    streaming = any(_marks(module, one, "streaming") for one in function.decorator_list)
    if streaming and "x-cog-array-type" not in output:
        raise module.source.refuse(
            function,
            "@streaming needs an output that is an Iterator; write -> Iterator[...] or ConcatenateIterator[str]",
        )
    _require_async(module, function)
    return Handler({"inputs": inputs, "output": output, "streaming": streaming}, tuple(reader.unread), modules.files)


class _Finder:
    """Finds the function that serves, in the named class, its parents or at the top of the file."""

    def __init__(self, modules: Modules, verb: Verb) -> None:
        self._modules = modules
        self._verb = verb

    def find(self, module: Module, target: str) -> Found:
        owner = module.class_named(target)
        if owner is not None:
            found = self._method(module, owner)
            if found is None:
                wanted = "run()" if self._verb == "predict" else "train()"
                raise module.source.refuse(owner, f"{target} has no {wanted}; add it")
            return found
        for name in (target, self._verb):
            function = next((one for one in _functions(module.source.tree.body) if one.name == name), None)
            if function is not None:
                return module, function
        raise BuildRefusedError(
            f"there is no class or function {target} at the top of the file; define it there, not in an if or another "
            "file, and not by assignment",
            file=str(module.source.path),
        )

    def _method(self, module: Module, owner: ast.ClassDef) -> Found | None:
        if self._verb == "train":
            return next(((module, one) for one in _functions(owner.body) if one.name == "train"), None)
        found = self._inherited(module, owner, set())
        return found.get("run") or found.get("predict")

    def _inherited(self, module: Module, owner: ast.ClassDef, seen: set[tuple[str, str]]) -> dict[str, Found]:
        """Return the methods ``run`` and ``predict`` of a class; its own come before its parents'."""
        if (str(module.source.path), owner.name) in seen:
            return {}
        seen.add((str(module.source.path), owner.name))
        found = {one.name: (module, one) for one in _functions(owner.body) if one.name in ("run", "predict")}
        for base in owner.bases:
            if isinstance(base, ast.Name | ast.Attribute):
                parent = self._parent(module, module.source.text_of(base))
                if parent is not None:
                    found = self._inherited(*parent, seen) | found
        return found

    def _parent(self, module: Module, name: str) -> tuple[Module, ast.ClassDef] | None:
        here = module.class_named(name)
        if here is not None:
            return module, here
        owner, dot, rest = name.partition(".")
        entry = module.imports.names.get(owner)
        if entry is None:
            return None
        origin, _ = self._modules.imported(module, entry)
        found = origin.class_named(rest if dot else entry.original) if origin is not None else None
        return None if origin is None or found is None else (origin, found)


def _functions(body: list[ast.stmt]) -> list[Function]:
    return [one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def _output(module: Module, function: Function) -> dict[str, object]:
    if function.returns is None:
        raise module.source.refuse(function, f"{function.name}() does not say what it returns; write -> str, say")
    try:
        return OutputTypes(module.imports, module.models).schema(annotation_of(module.source, function.returns))
    except UnsupportedTypeError as error:
        raise module.source.refuse(function, f"the output of {function.name}(): {error}") from None


def _marks(module: Module, decorator: ast.expr, mark: str) -> bool:
    """Whether a decorator, called or not, is cog's ``mark``."""
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    text = module.source.text_of(named)
    return module.imports.comes_from_cog(text, mark) or module.imports.is_cog_attribute(text, mark)


def _require_async(module: Module, function: Function) -> None:
    """Refuse ``@concurrent`` where its limit is not stated, or the function is not async."""
    for decorator in function.decorator_list:
        if not _marks(module, decorator, "concurrent"):
            continue
        limit = _limit(module, decorator)
        if limit > 1 and not isinstance(function, ast.AsyncFunctionDef):
            raise module.source.refuse(
                function, f"@concurrent(max={limit}) needs async def {function.name}(); write async, or remove it"
            )
        return


def _limit(module: Module, decorator: ast.expr) -> int:
    if not isinstance(decorator, ast.Call) or not (decorator.args or decorator.keywords):
        return 1
    match decorator:
        case ast.Call(args=[], keywords=[ast.keyword(arg="max", value=value)]):
            literal = literal_of(module.source, value)
            if literal is not None and literal.kind == "int" and literal.value >= 1:
                return int(literal.value)
    raise module.source.refuse(decorator, "@concurrent takes one whole number of at least 1; write @concurrent(max=4)")
