"""An input to begin with, for a predictor that nobody here knows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_TYPE = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}


def example_input(document: Mapping[str, Any]) -> dict[str, Any]:
    """Something of the right kind for all that is required, and a prompt wherever there is one."""
    schemas = document.get("components", {}).get("schemas", {})
    schema = schemas.get("Input", {})
    properties = schema.get("properties", {})
    wanted = {*schema.get("required", ()), *({"prompt"} & properties.keys())}
    return {name: _value(properties[name], schemas) for name in properties if name in wanted}


def _value(declared: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    for part in declared.get("allOf", ()):
        found = schemas.get(part.get("$ref", "").rpartition("/")[2], {})
        if found.get("enum"):
            return found["enum"][0]
    if declared.get("format") == "uri":
        return "data:text/plain,hello"
    kind = declared.get("type")
    if kind in ("integer", "number") and "minimum" in declared:
        return declared["minimum"]
    return _BY_TYPE.get(kind or "", "Hello")
