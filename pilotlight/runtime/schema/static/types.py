"""Cog's plain types, and what is common to inputs and outputs."""

from __future__ import annotations

from typing import Any

from pilotlight.runtime.schema.static.annotations import Annotation, other_than_none
from pilotlight.runtime.schema.static.imports import Imports

Schema = dict[str, Any]

_FILE: Schema = {"type": "string", "format": "uri"}
_PLAIN: dict[str, Schema] = {
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "int": {"type": "integer"},
    "str": {"type": "string"},
    "Path": _FILE,
    "File": _FILE,
    "Secret": {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True},
    "Any": {"type": "object"},
}


class UnsupportedTypeError(Exception):
    """A type that Cog's build tool does not take; the text says why and what to write."""


def plain_schema(name: str) -> Schema | None:
    """Return a fresh schema of one of Cog's plain types; ``None`` for any other name."""
    found = _PLAIN.get(name)
    return None if found is None else dict(found)


def opaque_of(annotation: Annotation, imports: Imports) -> Annotation | None:
    """Return the type that ``Annotated[X, cog.Opaque]`` hides; ``None`` where it is no such thing."""
    if annotation.kind != "generic" or not imports.is_annotated(annotation.name):
        return None
    marked = any(one.kind == "name" and imports.is_opaque(one.name) for one in annotation.args[1:])
    return annotation.args[0] if marked else None


def optional_of(annotation: Annotation, imports: Imports) -> Annotation | None:
    """Return the other type of a type that may be None, under whatever name typing was imported."""
    if annotation.kind == "generic":
        container = imports.container(annotation.name)
        if container is None:
            return None
        if container == "Optional" and len(annotation.args) == 1:
            return annotation.args[0]
        if container == "Union":
            other = other_than_none(annotation.args)
            if other is not None:
                return other
    return annotation.without_none()


def unknown_type(name: str, imports: Imports, owner_module: str) -> UnsupportedTypeError:
    """Return the refusal of a name that is no plain type and no model."""
    known = imports.names.get(name)
    module = owner_module or (known.module if known is not None else "")
    if name == "None":
        return UnsupportedTypeError("None alone is not supported; write a plain type, such as str")
    if module == "builtins":
        return UnsupportedTypeError(f"the type {name} alone is not supported; say what is in it, such as list[str]")
    if module:
        return UnsupportedTypeError(
            f"the type {name} comes from {module}, which is not read; write Annotated[{name}, Opaque] (from typing and "
            "cog) if it is plain JSON, else a BaseModel in the predictor's file"
        )
    return UnsupportedTypeError(
        f"the type {name} is not supported; write one of str, int, float, bool, Path, Secret or a list of them, "
        "in place of an alias or a class of your own"
    )
