"""Inputs that a predictor accepts, made up from its schema. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import InputError
from pilotlight.runtime.predictor_schema import InputField, PredictorSchema, within_limits

__all__ = ["complete_inputs", "example_input"]

_TEXT = "Hello"
# What stands in an example that is shown, where no value can be made up that would work.
_FILE_URL = "data:text/plain,hello"
_ANY_TEXT = "..."


class _NotMadeUpError(Exception):
    """No value can be made up; ``what`` would be needed, ``shown`` stands for it in an example."""

    def __init__(self, what: str, shown: Any) -> None:
        super().__init__(what)
        self.what = what
        self.shown = shown


def complete_inputs(schema: PredictorSchema, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``given`` with a placeholder for every other input that is required; the rest keeps its default.

    Where nothing is given and nothing is required, the first text input whose default is empty gets a placeholder: a
    prompt may be optional because something else can take its place, and a prediction is still about it.

    Raises:
        InputError: nothing can be made up for an input: a file, or a text with a pattern.
    """
    missing = [name for name in schema.required if name not in given]
    if not missing and not given:
        missing = [name for name, one in schema.inputs.items() if one.schema.get("default") == ""][:1]
    made: dict[str, Any] = {}
    for name in missing:
        try:
            made[name] = _placeholder(schema.inputs[name].schema)
        except _NotMadeUpError as error:
            problem = f"has to be given, and {error.what} cannot be made up; give it with -i {name}=..."
            raise InputError(name, problem) from None
    return {**given, **made}


def example_input(schema: PredictorSchema) -> dict[str, Any]:
    """Return an input to show in an example call: all that is required, and the prompt or else the first text.

    A file is a small ``data:`` URL, a text with a pattern ``"..."``: such an example has to be filled in.
    """
    texts = [name for name, one in schema.inputs.items() if _is_text(one)]
    prompt = ["prompt"] if "prompt" in texts else texts[:1] if not schema.required else []
    return {name: _shown(one) for name, one in schema.inputs.items() if one.required or name in prompt}


def _is_text(one: InputField) -> bool:
    return one.types == {"string"} and not (one.file or one.secret or one.choices)


def _shown(one: InputField) -> Any:
    if one.schema.get("default"):
        return one.schema["default"]
    try:
        return _placeholder(one.schema)
    except _NotMadeUpError as error:
        return error.shown


def _placeholder(schema: Mapping[str, Any]) -> Any:
    for union in ("anyOf", "oneOf"):
        for part in schema.get(union, ())[:1]:
            return _placeholder(part)
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "integer":
            return math.ceil(within_limits(1, schema))
        case "number":
            return within_limits(1, schema)
        case "boolean":
            return False
        case "array":
            try:
                return [_placeholder(schema.get("items", {}))]
            except _NotMadeUpError as error:
                raise _NotMadeUpError(error.what, [error.shown]) from None
        case "object":
            return {}
    if schema.get("format") == "uri":
        raise _NotMadeUpError("a file", _FILE_URL)
    if "pattern" in schema:
        raise _NotMadeUpError(f"text like {schema['pattern']!r}", _ANY_TEXT)
    length = min(max(len(_TEXT), int(schema.get("minLength", 0))), int(schema.get("maxLength", sys.maxsize)))
    return (_TEXT * math.ceil(length / len(_TEXT)))[:length]
