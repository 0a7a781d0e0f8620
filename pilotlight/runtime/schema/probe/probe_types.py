"""Python annotations as JSON schemas, by the rules of Cog's build tool (``pkg/schema`` of Cog 0.23.1).

Inputs come as cog's inspector has understood them. Outputs are resolved here: the build tool takes nested lists,
models in models and typed dicts, which the inspector refuses, and coglet never asks the inspector about them.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import json
import os
import types
import typing
from typing import Any

from cog import AsyncConcatenateIterator, BaseModel, ConcatenateIterator
from cog._adt import PrimitiveType, _unwrap_opaque

Schema = dict[str, Any]

_PRIMITIVES: dict[str, Schema] = {
    "BOOL": {"type": "boolean"},
    "FLOAT": {"type": "number"},
    "INTEGER": {"type": "integer"},
    "STRING": {"type": "string"},
    "PATH": {"type": "string", "format": "uri"},
    "FILE": {"type": "string", "format": "uri"},
    "SECRET": {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True},
    "ANY": {"type": "object"},
    "CUSTOM": {"type": "object"},
}


class Refused(Exception):  # noqa: N818 - a verdict on the user's code, not an error of ours
    """Cog cannot serve this signature; the text says why."""


def nullable(field_type: Any) -> bool:
    return field_type.repetition.name in ("OPTIONAL", "OPTIONAL_REPEATED")


def input_schema(field_type: Any) -> Schema:
    """An input's type, from cog's ``FieldType``."""
    if field_type.union_variants is not None:
        null = {"nullable": True} if nullable(field_type) else {}
        return {"anyOf": [{**input_schema(variant), **null} for variant in field_type.union_variants]}
    primitive = dict(_PRIMITIVES[field_type.primitive.name])
    if field_type.repetition.name in ("REPEATED", "OPTIONAL_REPEATED"):
        return {"type": "array", "items": primitive}
    return primitive


def json_value(value: Any) -> Any:
    """A default, choice or bound as JSON; ``None`` where it has no such form, as the build tool does."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, set | frozenset | tuple):
        value = list(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def output_schema(annotation: Any) -> Schema:
    """What a handler returns.

    Raises:
        Refused: not a type that the build tool takes.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if ConcatenateIterator in (origin, annotation) or AsyncConcatenateIterator in (origin, annotation):
        if args != (str,):
            raise Refused(f"{_name(origin or annotation)} must have str elements; write {_name(annotation)}[str]")
        concatenated = {"x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}
        return {"type": "array", "items": {"type": "string"}, **concatenated}
    if origin in (collections.abc.Iterator, collections.abc.AsyncIterator) and args:
        return {"type": "array", "items": _value_schema(args[0], ()), "x-cog-array-type": "iterator"}
    return _value_schema(annotation, ())


def _value_schema(annotation: Any, inside: tuple[Any, ...]) -> Schema:
    """Any other type; ``inside`` holds the models around it, so that a model within itself comes to an end."""
    inner, opaque = _unwrap_opaque(annotation)
    if opaque:
        return _opaque_schema(inner)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated or _name(origin) in ("Required", "NotRequired"):
        return _value_schema(args[0], inside)
    if origin in (typing.Union, types.UnionType):
        problem = "Optional is not allowed" if type(None) in args else "a union is not allowed"
        raise Refused(f"unsupported output type: {problem} as a return type; use a BaseModel with optional fields")
    if origin is dict:
        return {"type": "object", **({"additionalProperties": _value_schema(args[1], inside)} if args else {})}
    if annotation is list or origin is list:
        return {"type": "array", "items": _value_schema(args[0], inside) if args else {"type": "object"}}
    if annotation is dict or annotation in inside:
        return {"type": "object"}
    fields = _fields(annotation)
    if fields is not None:
        return _object_schema(fields, (*inside, annotation))
    primitive = PrimitiveType.from_type(annotation)
    if primitive is PrimitiveType.CUSTOM:
        raise Refused(
            f"unsupported output type: {_name(annotation)}; use str, int, float, bool, Path, Any, "
            "a list or dict of those, a BaseModel, or an iterator"
        )
    return dict(_PRIMITIVES[primitive.name])


def _opaque_schema(annotation: Any) -> Schema:
    if annotation is list or typing.get_origin(annotation) is list:
        return {"type": "array", "items": {"type": "object"}}
    return {"type": "object"}


def _fields(annotation: Any) -> dict[str, tuple[Any, bool]] | None:
    """Each field of a model or typed dict: its type, and whether it has to be there. ``None`` for other types."""
    if not inspect.isclass(annotation):
        return None
    typed_dict_keys = getattr(annotation, "__required_keys__", None)
    pydantic_fields = getattr(annotation, "model_fields", None)
    # Of pydantic.v1.
    older_fields = getattr(annotation, "__fields__", None) if pydantic_fields is None else None
    known = (typed_dict_keys, pydantic_fields, older_fields)
    if all(one is None for one in known) and not issubclass(annotation, BaseModel):
        return None
    hints = typing.get_type_hints(annotation, include_extras=True)
    if typed_dict_keys is not None:
        return {name: (hint, name in typed_dict_keys) for name, hint in hints.items()}
    if pydantic_fields is not None:
        return {name: (hints[name], field.is_required()) for name, field in pydantic_fields.items()}
    if older_fields is not None:
        return {name: (hints[name], bool(field.required)) for name, field in older_fields.items()}
    return {name: (hint, not hasattr(annotation, name)) for name, hint in hints.items()}


def _object_schema(fields: dict[str, tuple[Any, bool]], inside: tuple[Any, ...]) -> Schema:
    properties: Schema = {}
    required = []
    for name, (annotation, must_be_there) in fields.items():
        try:
            schema = _field_schema(annotation, inside)
        except Refused as refusal:
            raise Refused(f"field {name!r}: {refusal}") from refusal
        if must_be_there and "nullable" not in schema:
            required.append(name)
        title = " ".join(word[:1].upper() + word[1:] for word in name.split("_"))
        properties[name] = {**schema, "title": title}
    result: Schema = {"type": "object", "properties": properties}
    return {**result, "required": required} if required else result


def _field_schema(annotation: Any, inside: tuple[Any, ...]) -> Schema:
    """A field's type, which may be ``None`` too, unlike a whole output."""
    if _name(typing.get_origin(annotation)) in ("Required", "NotRequired"):
        return _field_schema(typing.get_args(annotation)[0], inside)
    inner, opaque = _unwrap_opaque(annotation)
    if not opaque and typing.get_origin(annotation) is typing.Annotated:
        return _field_schema(typing.get_args(annotation)[0], inside)
    args = typing.get_args(inner)
    if typing.get_origin(inner) in (typing.Union, types.UnionType) and type(None) in args and len(args) == 2:
        value = next(arg for arg in args if arg is not type(None))
        schema = _opaque_schema(value) if opaque else _value_schema(value, inside)
        return {**schema, "nullable": True}
    return _value_schema(annotation, inside)


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation).rpartition(".")[2]
