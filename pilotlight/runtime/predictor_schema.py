"""What a predictor's OpenAPI document says about its inputs and its output, read once. Pure.

Cog writes inputs in alphabetical order with their place in ``x-order``, choices as ``allOf`` with one reference, and
how an output comes as ``x-cog-array-type`` and ``x-cog-array-display``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pilotlight.errors import InputError

__all__ = [
    "InputField",
    "OutputField",
    "OutputKind",
    "PredictorSchema",
    "alternatives",
    "type_names",
    "within_limits",
]

Schema = Mapping[str, Any]

_UNIONS = ("anyOf", "oneOf")


class OutputKind(Enum):
    """How an output is shown or saved."""

    TEXT = auto()  # as it is, chunk after chunk
    LINES = auto()  # one JSON value on a line, chunk after chunk
    FILE = auto()  # saved
    FILES = auto()  # saved, with a number each
    JSON = auto()  # one JSON value, indented, at the end


@dataclass(frozen=True, slots=True)
class InputField:
    """One input of a predictor.

    Attributes:
        name: the input's name in a prediction.
        required: whether a prediction has to give it.
        schema: its JSON schema, without references.
        secret: whether it, or a part of it, is a ``cog.Secret``.
        file: whether it, or a part of it, is a file: a worker downloads what its URL names.
        only_files: whether it is a file or a list of files, and nothing else.
    """

    name: str
    required: bool
    schema: Schema
    secret: bool
    file: bool
    only_files: bool

    @property
    def types(self) -> frozenset[str]:
        """The JSON types that a value may have; empty for an input of any type."""
        return type_names(self.schema)

    @property
    def choices(self) -> list[Any]:
        """The values that are allowed, where only some are."""
        return list(self.schema.get("enum", ()))

    @property
    def description(self) -> str:
        """The author's description; empty without one."""
        return str(self.schema.get("description") or "")


@dataclass(frozen=True, slots=True)
class OutputField:
    """The output of a predictor.

    Attributes:
        schema: its JSON schema, without references; empty where the document has none.
    """

    schema: Schema

    @property
    def iterates(self) -> bool:
        """Whether it is a list that grows chunk by chunk."""
        return self.schema.get("x-cog-array-type") == "iterator"

    @property
    def concatenates(self) -> bool:
        """Whether its chunks are pieces of one text."""
        return self.schema.get("x-cog-array-display") == "concatenate"

    @property
    def item(self) -> Schema:
        """The schema of an item of a list, or else of the output itself: of one chunk where it iterates."""
        item: Schema = self.schema.get("items", self.schema)
        return item

    @property
    def kind(self) -> OutputKind:
        """How it is shown or saved."""
        if self.schema.get("format") == "uri":
            return OutputKind.FILE
        if self.item.get("format") == "uri":
            return OutputKind.FILES
        if self.schema.get("type") == "string" or self.concatenates:
            return OutputKind.TEXT
        return OutputKind.LINES if self.iterates else OutputKind.JSON


@dataclass(frozen=True, slots=True)
class PredictorSchema:
    """The inputs and the output that an OpenAPI document describes.

    Attributes:
        document: the document itself.
        describes_inputs: whether it says which inputs there are; without it any name is allowed.
        inputs: by name, in the order of the predictor's signature.
        output: what a prediction returns.
    """

    document: Schema = field(repr=False)
    describes_inputs: bool
    inputs: Mapping[str, InputField]
    output: OutputField

    @classmethod
    def of(cls, document: Schema) -> PredictorSchema:
        """Read a document; one without schemas, even an empty one, describes nothing."""
        schemas: Schema = document.get("components", {}).get("schemas", {})
        declared: Schema = schemas.get("Input", {})
        properties: Schema = declared.get("properties", {})
        required = declared.get("required", ())
        # Without x-order an input comes last.
        names = sorted(properties, key=lambda name: (properties[name].get("x-order", len(properties)), name))
        return cls(
            document=document,
            describes_inputs="properties" in declared,
            inputs={name: _input(name, _expanded(properties[name], schemas), name in required) for name in names},
            output=OutputField(_expanded(schemas.get("Output", {}), schemas)),
        )

    @property
    def required(self) -> list[str]:
        """The names of the inputs that a prediction has to give."""
        return [name for name, one in self.inputs.items() if one.required]

    @property
    def completes_text(self) -> bool:
        """Whether it is a text completer: takes a prompt or messages, and returns strings."""
        item = self.output.item
        takes_text = "prompt" in self.inputs or "messages" in self.inputs
        return takes_text and item.get("type") == "string" and item.get("format") != "uri"

    def unknown_inputs(self, given: Collection[str]) -> Iterator[InputError]:
        """Yield an error for each input that the predictor does not have, which Cog and Replicate ignore.

        It has the nearest known name, and all that there are.
        """
        for name in given if self.describes_inputs else ():
            if name in self.inputs:
                continue
            if not self.inputs:
                yield InputError(name, "unknown input; this predictor takes none")
                continue
            near = difflib.get_close_matches(name, self.inputs, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ";"
            yield InputError(name, f"unknown input{hint} it takes {', '.join(self.inputs)}")

    def check_names(self, given: Collection[str]) -> None:
        """Refuse an input that the predictor does not have.

        Raises:
            InputError: the first of ``unknown_inputs``.
        """
        for error in self.unknown_inputs(given):
            raise error


def type_names(schema: Schema) -> frozenset[str]:
    """Return the JSON types that a value of ``schema``, which has no references, may have."""
    return frozenset(one["type"] for one in alternatives(schema))


def alternatives(schema: Schema) -> list[Schema]:
    """Return the schemas, of one type each, that a value of ``schema``, which has no references, may have."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return [{**schema, "type": one} for one in kind]
    if kind is not None:
        return [schema]
    return [one for union in _UNIONS for part in schema.get(union, ()) for one in alternatives(part)]


def within_limits(number: float, schema: Schema) -> Any:
    """Return the number nearest to ``number`` between the minimum and the maximum of ``schema``."""
    return min(max(number, schema.get("minimum", -math.inf)), schema.get("maximum", math.inf))


def _input(name: str, schema: Schema, required: bool) -> InputField:
    parts = list(_parts(schema))
    return InputField(
        name=name,
        required=required,
        schema=schema,
        secret=any(part.get("x-cog-secret") is True for part in parts),
        file=any(part.get("format") == "uri" for part in parts),
        only_files="uri" in (schema.get("format"), schema.get("items", {}).get("format")),
    )


def _parts(schema: Schema) -> Iterator[Schema]:
    """Yield a schema and all schemas within it."""
    yield schema
    for union in _UNIONS:
        for part in schema.get(union, ()):
            yield from _parts(part)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from _parts(schema[key])
    for part in schema.get("properties", {}).values():
        yield from _parts(part)


def _expanded(schema: Schema, schemas: Schema, within: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return ``schema`` with what its references and ``allOf`` stand for; its own keys win.

    A type that contains itself is a schema without keys where it comes again, and allows anything there.
    """
    result: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        result |= _expanded(part, schemas, within)
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    if reference and reference not in within:
        result |= _expanded(schemas.get(reference, {}), schemas, within | {reference})
    for key, value in schema.items():
        if key in _UNIONS:
            result[key] = [_expanded(part, schemas, within) for part in value]
        elif key in ("items", "additionalProperties") and isinstance(value, Mapping):
            result[key] = _expanded(value, schemas, within)
        elif key == "properties":
            result[key] = {name: _expanded(part, schemas, within) for name, part in value.items()}
        elif key not in ("$ref", "allOf"):
            result[key] = value
    return result
