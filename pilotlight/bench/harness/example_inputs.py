"""Makes an example input for a project from its schema. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import InputError
from pilotlight.runtime.http.request import input_names

__all__ = ["default_inputs"]

Schema = Mapping[str, Any]

_TEXT = "Hello"


def default_inputs(document: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, and a placeholder for every other input that has to be given; the rest keeps its default.

    Where nothing is given and nothing has to be, the first text whose default is empty gets one: a prompt that may be
    left out, since something else could be given instead, still is what a prediction is about.

    Args:
        document: the project's OpenAPI document.
        given: by name.

    Raises:
        InputError: nothing can be made up for an input: a file, or a text with a pattern.
    """
    schema = document["components"]["schemas"]["Input"]
    names = input_names(document) or []
    missing = [name for name in names if name in schema.get("required", []) and name not in given]
    if not missing and not given:
        missing = [name for name in names if schema["properties"][name].get("default") == ""][:1]
    return {**given, **{name: _placeholder(name, schema["properties"][name], document) for name in missing}}


def _placeholder(name: str, schema: Schema, document: Schema) -> Any:
    for part in (*schema.get("allOf", [])[:1], *schema.get("anyOf", [])[:1]):
        return _placeholder(name, part, document)
    if "$ref" in schema:
        return _placeholder(name, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "integer":
            return math.ceil(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return False
        case "array":
            return [_placeholder(name, schema.get("items", {}), document)]
        case "object":
            return {}
    if schema.get("format") == "uri" or "pattern" in schema:
        what = "a file" if schema.get("format") == "uri" else f"text like {schema['pattern']!r}"
        raise InputError(name, f"has to be given, and {what} cannot be made up; give it with -i {name}=...")
    return _text(schema)


def _number(schema: Schema) -> Any:
    """The one nearest to 1 within the limits."""
    return min(max(1, schema.get("minimum", 1)), schema.get("maximum", math.inf))


def _text(schema: Schema) -> str:
    length = min(max(len(_TEXT), int(schema.get("minLength", 0))), int(schema.get("maxLength", sys.maxsize)))
    return (_TEXT * math.ceil(length / len(_TEXT)))[:length]
