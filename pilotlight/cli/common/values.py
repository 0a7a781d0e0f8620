"""Converts ``-i name=value`` and ``--json`` to a prediction's inputs by the project's schema, as ``cog predict`` does.

Bounds, choices and patterns are checked by the server.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotlight.errors import InputError, UsageError
from pilotlight.runtime.predictor_schema import PredictorSchema, alternatives
from pilotlight.util.media_types import media_type

Schema = Mapping[str, Any]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_ARTICLES = {
    "array": "a JSON list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a JSON object",
    "string": "text",
}


def inputs_from_flags(flags: Sequence[str], schema: PredictorSchema, *, complete: bool = True) -> dict[str, Any]:
    """Return the values of ``name=value`` flags, converted to the schema's types; a name given twice makes a list.

    Args:
        flags: as given on the command line.
        schema: of the predictor.
        complete: whether every required input must be present.

    Raises:
        UsageError: a flag has no ``=``.
        InputError: an input is unknown, missing, of the wrong type, or a file that cannot be read.
    """
    texts: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        if not equals or not name:
            raise UsageError(f"-i {flag!r}: give it as name=value")
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        texts.setdefault(name, []).append(text)
    schema.check_names(texts)
    if complete:
        _require_all(texts, schema)
    inputs: dict[str, Any] = {}
    for name, values in texts.items():
        kinds = alternatives(schema.inputs[name].schema) if name in schema.inputs else []
        if len(values) > 1:
            inputs[name] = [_convert(name, value, _item_kinds(name, kinds), in_list=True) for value in values]
        else:
            inputs[name] = _convert(name, values[0], kinds)
    return inputs


def inputs_from_json(source: str, schema: PredictorSchema) -> dict[str, Any]:
    """Return the values of a JSON object, given directly, as ``@file``, or as ``-`` for the standard input.

    Raises:
        UsageError: the source cannot be read, or is not a JSON object.
        InputError: as for ``inputs_from_flags``.
    """
    where = source.removeprefix("@")
    try:
        if where == "-":
            text = sys.stdin.read()
        elif source.startswith("@"):
            text = Path(where).expanduser().read_text(encoding="utf-8")
        else:
            where, text = "its value", source
        values = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--json: cannot read {where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--json: {where} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f'--json: {where} must be a JSON object, such as {{"prompt": "hello"}}')
    schema.check_names(values)
    _require_all(values, schema)
    return {name: _file_or(name, value) for name, value in values.items()}


def _require_all(given: Mapping[str, Any], schema: PredictorSchema) -> None:
    missing = [name for name in schema.required if name not in given]
    if missing:
        others = f" (so are {', '.join(missing[1:])})" if len(missing) > 1 else ""
        raise InputError(missing[0], f"missing, and required{others}; give it with -i {missing[0]}=...")


def _item_kinds(name: str, kinds: Sequence[Schema]) -> list[Schema]:
    lists = [kind for kind in kinds if kind["type"] == "array"]
    if not lists:
        raise InputError(name, "given more than once, but it is not a list")
    return [item for kind in lists for item in alternatives(kind.get("items", {}))]


def _convert(name: str, text: str, kinds: Sequence[Schema], *, in_list: bool = False) -> Any:
    """Convert a text to the first type that it fits, from the strictest to plain text."""
    if text.startswith("@"):
        value = _file_or(name, text)
        return [value] if kinds and all(kind["type"] == "array" for kind in kinds) else value
    types = {kind["type"] for kind in kinds} or {"string"}
    if "boolean" in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if types & {"integer", "number"} and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and (number := _number(text)) is not None:
        return number
    for kind, python in (("array", list), ("object", dict)):
        if kind in types and isinstance(value := _json(text), python):
            return value
    if "string" in types:
        return text
    if "array" in types and not in_list:
        return [_convert(name, text, _item_kinds(name, kinds), in_list=True)]
    raise InputError(name, f"{text[:80]!r} is not {' or '.join(_ARTICLES[kind] for kind in sorted(types))}")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _file_or(name: str, value: Any) -> Any:
    """Return the file of an ``@path`` as a data: URL; any other value unchanged."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    path = Path(value[1:]).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(name, f"cannot read the file {path}: {error.strerror or error}") from error
    return f"data:{media_type(path.name)};base64,{base64.b64encode(content).decode()}"
