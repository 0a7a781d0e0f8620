"""The schema of an input's type."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Literal

from pilotlight.runtime.schema.static.annotations import Annotation
from pilotlight.runtime.schema.static.imports import Imports
from pilotlight.runtime.schema.static.types import (
    Schema,
    UnsupportedTypeError,
    opaque_of,
    optional_of,
    plain_schema,
    unknown_type,
)

_NESTED = "a list of optional values, lists or unions is not supported; write list[X] of a plain type X"
_NESTED_UNION = "a union within a union is not supported; write one flat union, such as int | str"
_FILES = {"uri", "password"}


@dataclass(frozen=True, slots=True)
class InputType:
    """What an input may be: a plain value, any JSON, a list or one of several types."""

    kind: Literal["plain", "any", "list", "union"]
    schema: Schema
    nullable: bool = False


_ANY = InputType("any", {"type": "object"})


def input_type(annotation: Annotation, imports: Imports, typed_dicts: Set[str]) -> InputType:
    """Return the type of an input.

    Raises:
        UnsupportedTypeError: Cog's build tool does not take it as an input.
    """
    hidden = opaque_of(annotation, imports)
    if hidden is not None:
        return _opaque(hidden, imports)
    if annotation.kind == "name":
        return _named(annotation.name, imports, typed_dicts)
    if annotation.kind == "union":
        return _union(annotation.args, imports, typed_dicts)
    return _generic(annotation, imports, typed_dicts)


def _named(name: str, imports: Imports, typed_dicts: Set[str]) -> InputType:
    rest, owner = imports.qualified(name)
    known = {name, rest, f"{owner.original}.{rest}" if owner is not None else name}
    if known & typed_dicts or rest in ("dict", "Dict", "Any"):
        return _ANY
    schema = plain_schema(rest)
    if schema is None:
        raise unknown_type(rest, imports, owner.module if owner is not None else "")
    return InputType("plain", schema)


def _generic(annotation: Annotation, imports: Imports, typed_dicts: Set[str]) -> InputType:
    outer, _ = imports.qualified(annotation.name)
    args = annotation.args
    if outer in ("dict", "Dict"):
        return _ANY
    if outer == "Union":
        return _union(args, imports, typed_dicts)
    if imports.is_annotated(annotation.name):
        return input_type(args[0], imports, typed_dicts)
    if outer not in ("Optional", "List", "list"):
        raise UnsupportedTypeError(
            f"{outer}[...] is not supported as an input; write a plain type, list[X], or str with choices=[...]"
        )
    if len(args) != 1:
        raise UnsupportedTypeError(f"{outer}[...] takes one type; write {outer}[X]")
    inner = input_type(args[0], imports, typed_dicts)
    if outer == "Optional":
        return _or_none(inner)
    if inner.nullable or inner.kind in ("list", "union"):
        raise UnsupportedTypeError(_NESTED)
    return _list_of(inner)


def _list_of(inner: InputType) -> InputType:
    return InputType("list", {"type": "array", "items": inner.schema})


def _union(members: tuple[Annotation, ...], imports: Imports, typed_dicts: Set[str]) -> InputType:
    variants = []
    for member in members:
        if member.is_none:
            continue
        if member.kind == "union" or (member.kind == "generic" and member.name == "Union"):
            raise UnsupportedTypeError(_NESTED_UNION)
        variant = input_type(member, imports, typed_dicts)
        if variant.kind == "union":
            raise UnsupportedTypeError(_NESTED_UNION)
        variants.append(variant)
    nullable = any(member.is_none for member in members)
    if not variants:
        raise UnsupportedTypeError("a union of nothing but None is not supported; name another type")
    if len(variants) == 1:
        return replace(variants[0], nullable=variants[0].nullable or nullable)
    for variant in variants:
        _require_union_member(variant)
    union = InputType("union", {"anyOf": [variant.schema for variant in variants]})
    return _or_none(union) if nullable else union


def _or_none(inner: InputType) -> InputType:
    """Return a type that may also be None, as a union's members then say too."""
    schema = inner.schema
    if inner.kind == "union":
        schema = {"anyOf": [{**variant, "nullable": True} for variant in schema["anyOf"]]}
    return replace(inner, schema=schema, nullable=True)


def _require_union_member(variant: InputType) -> None:
    if variant.nullable:
        raise UnsupportedTypeError("Optional within a union is not supported; write None as a member of the union")
    schema = variant.schema.get("items", variant.schema)
    if schema.get("format") in _FILES:
        raise UnsupportedTypeError(
            "Path, File and Secret are not supported in a union; give them an input of their own"
        )


def _opaque(hidden: Annotation, imports: Imports) -> InputType:
    """Return any JSON, or a list of it, where ``Opaque`` says not to look."""
    again = opaque_of(hidden, imports)
    if again is not None:
        return _opaque(again, imports)
    optional = optional_of(hidden, imports)
    if optional is not None:
        return replace(_opaque(optional, imports), nullable=True)
    if hidden.kind != "union" and imports.container(hidden.name) in ("List", "list"):
        return _list_of(_ANY)
    return _ANY
