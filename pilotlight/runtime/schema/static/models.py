"""The classes that describe outputs: models and typed dictionaries, those of the project's other files included."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pilotlight.runtime.schema.static.annotations import Annotation, annotation_of
from pilotlight.runtime.schema.static.errors import BuildRefusedError, UnknownSyntaxError
from pilotlight.runtime.schema.static.imports import Imported, Imports
from pilotlight.runtime.schema.static.literals import Literal, constants_of, literal_of
from pilotlight.runtime.schema.static.source import SourceFile

# Modules that Cog's build tool never looks for in the project's folder.
_EXTERNAL_TEXT = (
    "builtins typing typing_extensions collections abc enum dataclasses os sys io json re math pathlib functools "
    "itertools contextlib concurrent asyncio multiprocessing threading logging warnings unittest pytest numpy torch "
    "tensorflow jax scipy sklearn transformers diffusers accelerate safetensors PIL cv2 skimage requests httpx aiohttp "
    "fastapi flask pydantic cog"
)
_EXTERNAL = frozenset(_EXTERNAL_TEXT.split())


@dataclass(frozen=True, slots=True)
class ModelField:
    """One field of a model; ``key_required`` is what a typed dictionary says of the key, ``None`` for other models."""

    name: str
    type: Annotation
    default: Literal | None
    key_required: bool | None


@dataclass(slots=True)
class Module:
    """One source file, with what its names stand for.

    Attributes:
        models: the fields of every model that a name in this file may mean, imported ones included.
        typed_dicts: the names of those that are typed dictionaries.
    """

    source: SourceFile
    imports: Imports
    constants: dict[str, Literal]
    models: dict[str, list[ModelField]] = field(default_factory=dict)
    typed_dicts: set[str] = field(default_factory=set)

    def classes(self) -> Iterable[ast.ClassDef]:
        return (statement for statement in self.source.tree.body if isinstance(statement, ast.ClassDef))

    def class_named(self, name: str) -> ast.ClassDef | None:
        return next((found for found in self.classes() if found.name == name), None)


class Modules:
    """The source files of a project, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[PurePosixPath, Module | None] = {}

    @property
    def files(self) -> tuple[str, ...]:
        """The files that were looked for, those that are not there included."""
        return tuple(map(str, self._known))

    def open(self, path: PurePosixPath) -> Module | None:
        """Return the module of a file with its models; ``None`` where there is no such file, or none that can be read.

        A file that imports itself, by whatever detour, sees what was read of it until then.
        """
        if path in self._known:
            return self._known[path]
        try:
            module = _module(SourceFile(path, self._text(path)))
        except (OSError, UnknownSyntaxError):
            self._known[path] = None
            return None
        self._known[path] = module
        _collect(module)
        self._resolve(module)
        # A typed dictionary may have its parent in another file, which is known only now.
        _collect(module)
        self._resolve(module)
        return module

    def read(self, path: PurePosixPath) -> Module:
        """Return the module of the predictor's own file.

        Raises:
            BuildRefusedError: it cannot be read.
            UnknownSyntaxError: it is not valid for the running Python.
        """
        module = self.open(path)
        if module is not None:
            return module
        try:
            SourceFile(path, self._text(path))
        except OSError as error:
            raise BuildRefusedError(f"{path} cannot be read: {error.strerror}; correct the name in cog.yaml") from error
        raise BuildRefusedError("it cannot be read; try again", file=str(path))  # it changed between the two looks

    def imported(self, module: Module, entry: Imported) -> tuple[Module | None, bool]:
        """Return the project's module that an import names, and whether it is what was imported, not where from."""
        found = self._load(entry.module, module.source.path)
        if found is not None:
            return found, False
        nested = f".{entry.original}" if entry.module == "." else f"{entry.module}.{entry.original}"
        return self._load(nested, module.source.path), True

    def _text(self, path: PurePosixPath) -> str:
        return (self._root / path).read_text(encoding="utf-8", errors="replace")

    def _load(self, name: str, importer: PurePosixPath) -> Module | None:
        path = _file_of(name, importer)
        return None if path is None else self.open(path)

    def _resolve(self, module: Module) -> None:
        """Give a module the models that it imports, and those that they are made of."""
        for local, entry in module.imports.names.items():
            origin, nested = self.imported(module, entry)
            if origin is None:
                _share(local, entry, module, module)
                continue
            for name, fields in list(origin.models.items()):
                module.models[f"{local}.{name}"] = fields
            module.typed_dicts |= {f"{local}.{name}" for name in origin.typed_dicts}
            if nested or entry.original == entry.module or entry.module == ".":
                continue
            _share(local, entry, origin, module)
            for name, fields in list(origin.models.items()):
                module.models.setdefault(name, fields)


def _share(local: str, entry: Imported, origin: Module, module: Module) -> None:
    if entry.original in origin.models:
        module.models[local] = origin.models[entry.original]
    if entry.original in origin.typed_dicts:
        module.typed_dicts.add(local)


def _module(source: SourceFile) -> Module:
    return Module(source, Imports(source), constants_of(source))


def _file_of(name: str, importer: PurePosixPath) -> PurePosixPath | None:
    bare = name.lstrip(".")
    if not bare or bare.partition(".")[0] in _EXTERNAL:
        return None
    folder = PurePosixPath()
    level = len(name) - len(bare)
    if level:
        folder = importer.parent
        for _ in range(level - 1):
            folder = folder.parent
    *parents, last = bare.split(".")
    return folder.joinpath(*parents, f"{last}.py")


def _collect(module: Module) -> None:
    for found in module.classes():
        is_model = _is_model(module, found)
        total, parents = _typed_dict(module, found)
        if not is_model and parents is None:
            continue
        own = _fields(module, found, None if parents is None else total)
        inherited = [one for parent in parents or () for one in module.models.get(parent, ())]
        module.models[found.name] = list({one.name: one for one in [*inherited, *own]}.values()) if parents else own
        if parents is not None:
            module.typed_dicts.add(found.name)


def _is_model(module: Module, found: ast.ClassDef) -> bool:
    return any(
        module.imports.is_base_model(base.id)
        if isinstance(base, ast.Name)
        else isinstance(base, ast.Attribute) and base.attr == "BaseModel"
        for base in found.bases
    )


def _typed_dict(module: Module, found: ast.ClassDef) -> tuple[bool, list[str] | None]:
    """Return whether keys are required by default, and the parents; ``None`` where this is no typed dictionary."""
    parents: list[str] | None = None
    for base in found.bases:
        text = module.source.text_of(base)
        is_root = module.imports.is_typed_dict(text) if isinstance(base, ast.Name) else text.endswith(".TypedDict")
        if is_root:
            parents = parents or []
        elif isinstance(base, ast.Name | ast.Attribute) and text in module.typed_dicts:
            parents = [*(parents or []), text]
    total = not any(
        keyword.arg == "total" and module.source.text_of(keyword.value) == "False" for keyword in found.keywords
    )
    return total, parents


def _fields(module: Module, found: ast.ClassDef, total: bool | None) -> list[ModelField]:
    fields = []
    for statement in found.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        try:
            annotation = annotation_of(module.source, statement.annotation)
        except BuildRefusedError:  # Cog's tool passes over a field that it cannot take apart
            continue
        default = literal_of(module.source, statement.value) if statement.value is not None else None
        fields.append(_qualified(ModelField(statement.target.id, annotation, default, total), module.imports))
    return fields


def _qualified(one: ModelField, imports: Imports) -> ModelField:
    """Take ``Required[...]`` and ``NotRequired[...]`` off a typed dictionary's field."""
    if one.key_required is None or one.type.kind != "generic" or len(one.type.args) != 1:
        return one
    for word, required in (("NotRequired", False), ("Required", True)):
        name = one.type.name
        if name == word or name.endswith(f".{word}") or imports.is_typing(name, word):
            return replace(one, type=one.type.args[0], key_required=required)
    return one
