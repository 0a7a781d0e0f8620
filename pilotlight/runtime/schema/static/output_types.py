"""The schema of a predictor's output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotlight.runtime.schema.static.annotations import Annotation
from pilotlight.runtime.schema.static.imports import Imports
from pilotlight.runtime.schema.static.models import ModelField
from pilotlight.runtime.schema.static.types import (
    Schema,
    UnsupportedTypeError,
    opaque_of,
    optional_of,
    plain_schema,
    unknown_type,
)

_OPTIONAL = "an output cannot be Optional; name one type, or put it into a BaseModel whose field is Optional"
_UNION = "a union cannot be an output; name one type, or Any"
_ITERATORS = ("Iterator", "AsyncIterator")
_TEXT_ITERATORS = ("ConcatenateIterator", "AsyncConcatenateIterator")


@dataclass(slots=True)
class OutputTypes:
    """Resolves the types of outputs by the imports and models of one file."""

    imports: Imports
    models: Mapping[str, Sequence[ModelField]]
    _open: list[str] = field(default_factory=list)

    def schema(self, annotation: Annotation) -> Schema:
        """Return the schema of a type.

        Raises:
            UnsupportedTypeError: Cog's build tool does not take it as an output.
        """
        hidden = opaque_of(annotation, self.imports)
        if hidden is not None:
            if optional_of(hidden, self.imports) is not None:
                raise UnsupportedTypeError(_OPTIONAL)
            return self._opaque(hidden)
        if annotation.kind == "union":
            raise UnsupportedTypeError(_UNION if annotation.without_none() is None else _OPTIONAL)
        if annotation.kind == "name":
            return self._named(annotation.name)
        if self.imports.is_annotated(annotation.name):
            return self.schema(annotation.args[0])
        return self._generic(annotation)

    def _opaque(self, hidden: Annotation) -> Schema:
        single = hidden.kind == "name" or (hidden.kind == "generic" and len(hidden.args) == 1)
        if single and self.imports.container(hidden.name) in ("list", "List"):
            return {"type": "array", "items": {"type": "object"}}
        return {"type": "object"}

    def _named(self, name: str) -> Schema:
        rest, owner = self.imports.qualified(name)
        for model in (name, f"{owner.original}.{rest}" if owner is not None else name):
            if model in self.models:
                return self._model(model)
        if rest in ("Any", "dict", "Dict"):
            return {"type": "object"}
        if self.imports.container(name) in ("list", "List"):
            return {"type": "array", "items": {"type": "object"}}
        schema = plain_schema(rest)
        if schema is None:
            raise unknown_type(rest, self.imports, owner.module if owner is not None else "")
        return schema

    def _generic(self, annotation: Annotation) -> Schema:
        outer, _ = self.imports.qualified(annotation.name)
        args = annotation.args
        if outer in ("dict", "Dict"):
            if len(args) != 2:
                raise UnsupportedTypeError(f"{outer}[...] takes two types; write {outer}[str, X]")
            return {"type": "object", "additionalProperties": self.schema(args[1])}
        if outer == "Optional":
            raise UnsupportedTypeError(_OPTIONAL)
        if outer == "Union":
            raise UnsupportedTypeError(_UNION if Annotation("union", args=args).without_none() is None else _OPTIONAL)
        is_list = self.imports.container(annotation.name) in ("list", "List")
        if not is_list and outer not in (*_ITERATORS, *_TEXT_ITERATORS):
            raise UnsupportedTypeError(
                f"{outer}[...] is not supported as an output; write a plain type, list[X], dict[str, X], a BaseModel "
                "or an Iterator of them"
            )
        if len(args) != 1:
            raise UnsupportedTypeError(f"{outer}[...] takes one type; write {outer}[X]")
        if is_list:
            return {"type": "array", "items": self.schema(args[0])}
        if outer in _ITERATORS:
            return {"type": "array", "items": self.schema(args[0]), "x-cog-array-type": "iterator"}
        return self._text_iterator(outer, args[0])

    def _text_iterator(self, outer: str, element: Annotation) -> Schema:
        if element != Annotation("name", "str"):
            raise UnsupportedTypeError(
                f"{outer} is for text only; write {outer}[str], or Iterator[...] for other types"
            )
        return {
            "type": "array",
            "items": {"type": "string"},
            "x-cog-array-type": "iterator",
            "x-cog-array-display": "concatenate",
        }

    def _model(self, name: str) -> Schema:
        """Return an object with a model's fields; within itself a model is any object."""
        if name in self._open:
            return {"type": "object"}
        self._open.append(name)
        try:
            properties, required = {}, []
            for one in self.models[name]:
                schema, nullable = self._field(one)
                properties[one.name] = {**schema, "title": title_of(one.name)}
                if (not nullable if one.key_required is None else one.key_required) and one.default is None:
                    required.append(one.name)
        finally:
            self._open.pop()
        result: Schema = {"type": "object", "properties": properties}
        return {**result, "required": required} if required else result

    def _field(self, one: ModelField) -> tuple[Schema, bool]:
        try:
            return self._field_type(one.type)
        except UnsupportedTypeError as error:
            raise UnsupportedTypeError(f"field {one.name}: {error}") from None

    def _field_type(self, annotation: Annotation) -> tuple[Schema, bool]:
        """Return a field's schema, and whether it may be None."""
        hidden = opaque_of(annotation, self.imports)
        if hidden is None and annotation.kind == "generic" and self.imports.is_annotated(annotation.name):
            return self._field_type(annotation.args[0])
        optional = optional_of(hidden or annotation, self.imports) or (hidden or annotation).without_none()
        inner = optional or hidden or annotation
        schema = self.schema(inner) if hidden is None else self._opaque(inner)
        return ({**schema, "nullable": True} if optional is not None else schema), optional is not None


def title_of(name: str) -> str:
    """Return a name as Cog shows it: ``max_tokens`` as ``Max Tokens``."""
    return " ".join(word[:1].upper() + word[1:] for word in name.split("_"))
