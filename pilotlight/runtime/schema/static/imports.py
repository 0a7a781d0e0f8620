"""What the names of a module stand for, as far as its import statements say."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pilotlight.runtime.schema.static.source import SourceFile

_BUILTINS = ("str", "int", "float", "bool", "list", "dict", "set", "None")
_TYPING = ("typing", "typing_extensions")
_MODELS = ("cog", "pydantic", "pydantic.v1")
_CONTAINERS = ("List", "Optional", "Union")


@dataclass(frozen=True, slots=True)
class Imported:
    """Where a name comes from: ``original`` in ``module``; a module itself has the same text in both."""

    module: str = ""
    original: str = ""

    @property
    def is_typing_itself(self) -> bool:
        return self.module in _TYPING and self.original == self.module


class Imports:
    """The names that the import statements at the top of one file bring in, and Python's own."""

    def __init__(self, source: SourceFile) -> None:
        self.names: dict[str, Imported] = {}
        for statement in source.tree.body:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    self.names[alias.asname or alias.name] = Imported(alias.name, alias.name)
            elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
                module = "." * statement.level + (statement.module or "")
                for alias in statement.names:
                    if alias.name != "*":
                        self.names[alias.asname or alias.name] = Imported(module, alias.name)
        for name in _BUILTINS:
            self.names.setdefault(name, Imported("builtins", name))

    def comes_from_cog(self, name: str, original: str) -> bool:
        """Whether ``name`` is cog's ``original``, imported under this or another name."""
        return self.names.get(name) == Imported("cog", original)

    def is_cog_attribute(self, text: str, attribute: str) -> bool:
        """Whether ``text`` is ``cog.attribute``, by whatever name the module was imported."""
        module, _, rest = text.partition(".")
        return rest == attribute and self.names.get(module) == Imported("cog", "cog")

    def is_base_model(self, name: str) -> bool:
        found = self.names.get(name, Imported())
        return name == "BaseModel" or (found.module in _MODELS and found.original == "BaseModel")

    def is_typed_dict(self, name: str) -> bool:
        return name == "TypedDict" or self.is_typing(name, "TypedDict")

    def is_typing(self, name: str, original: str) -> bool:
        found = self.names.get(name, Imported())
        return found.module in _TYPING and found.original == original

    def is_annotated(self, name: str) -> bool:
        rest, owner = self.qualified(name)
        if owner is not None:
            return rest == "Annotated" and owner.is_typing_itself
        return self.is_typing(name, "Annotated")

    def is_opaque(self, name: str) -> bool:
        rest, owner = self.qualified(name)
        if owner is not None:
            return rest == "Opaque" and owner.module == "cog"
        return self.comes_from_cog(name, "Opaque")

    def qualified(self, name: str) -> tuple[str, Imported | None]:
        """Return the part after the first dot and what stands before it; the name itself and None without a dot."""
        owner, dot, rest = name.partition(".")
        return (rest, self.names.get(owner, Imported())) if dot else (name, None)

    def container(self, name: str) -> str | None:
        """Return which of ``list``, ``List``, ``Optional`` and ``Union`` a name is; ``None`` for any other."""
        rest, owner = self.qualified(name)
        if owner is not None:
            return rest if owner.is_typing_itself and rest in _CONTAINERS else None
        found = self.names.get(name)
        if found == Imported("builtins", "list"):
            return "list"
        if found is not None and found.module in _TYPING and found.original in _CONTAINERS:
            return found.original
        return None
