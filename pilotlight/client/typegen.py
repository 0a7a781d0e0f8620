"""Generates a Python module with the types of a predictor's inputs and output from its OpenAPI document. Pure."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import UsageError
from pilotlight.runtime.predictor_schema import PredictorSchema

_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict[str, Any]"}

_HEADER = '''"""Types of {target}. Made by `pilotlight types`; make it again when the version changes."""

from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

from pilotlight.client import Client

'''

_FOOTER = '''

def run(client: Client, inputs: Input, *, timeout_s: float | None = None) -> Output:
    """Runs a prediction to its end; raises as ``Client.run`` does."""
    return cast("Output", client.run(cast("dict[str, Any]", inputs), timeout_s=timeout_s).output)
'''


def module_for(target: str, document: Mapping[str, Any]) -> str:
    """Return the text of the module.

    Args:
        target: target string, for the module's docstring.
        document: the predictor's OpenAPI document.

    Raises:
        UsageError: the document describes no inputs, or an input's name is not a valid Python name.
    """
    schema = PredictorSchema.of(document)
    if not schema.describes_inputs:
        raise UsageError(f"{target} does not say which inputs it takes")
    lines = ["", "class Input(TypedDict):", '    """What it takes."""', ""]
    for name, one in schema.inputs.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(f"{target} has an input {name!r}, which cannot be a name in a class")
        kind = type_of(one.schema, given=True)
        lines.append(f"    {name}: {kind if one.required else f'NotRequired[{kind} | None]'}")
        if description := " ".join(one.description.split()):
            lines.append(f"    {_doc(description)}")
    output = type_of(schema.output.schema, given=False)
    body = "\n".join([*lines, "", "", f"Output = {output}", ""])
    return _HEADER.format(target=target) + body + _FOOTER


def type_of(schema: Mapping[str, Any], *, given: bool) -> str:
    """Return the Python type of a value.

    Args:
        schema: of the value, with references resolved.
        given: whether the value is an input, for which a file may be a path or bytes; in outputs it is a URL.
    """
    if "enum" in schema:
        return f"Literal[{', '.join(repr(one) for one in schema['enum'])}]"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(type_of(part, given=given) for part in schema[key]))
    kind = schema.get("type")
    if kind == "array":
        return f"list[{type_of(schema.get('items', {}), given=given)}]"
    if kind == "string" and schema.get("format") == "uri":
        return "str | Path | bytes" if given else "str"
    if kind == "null":
        return "None"
    return _SIMPLE.get(str(kind), "Any")


def _doc(text: str) -> str:
    """Return a text as a one-line docstring."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}"""'
