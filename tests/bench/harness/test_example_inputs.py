"""Inputs made up from a schema."""

import pytest

from pilotlight.bench.harness.example_inputs import default_inputs
from pilotlight.errors import InputError


def document(required, **properties):
    ordered = {name: {"x-order": number, **schema} for number, (name, schema) in enumerate(properties.items())}
    kinds = {"Input": {"properties": ordered, "required": required}, "mode": {"enum": ["b", "a"], "type": "string"}}
    return {"components": {"schemas": kinds}}


PLACEHOLDERS = {
    "text": ({"type": "string"}, "Hello"),
    "long text": ({"type": "string", "minLength": 12}, "HelloHelloHe"),
    "short text": ({"type": "string", "maxLength": 2}, "He"),
    "integer": ({"type": "integer"}, 1),
    "integer above": ({"type": "integer", "minimum": 5.5}, 6),
    "integer below": ({"type": "integer", "maximum": -3}, -3),
    "number": ({"type": "number", "minimum": 1.5}, 1.5),
    "boolean": ({"type": "boolean"}, False),
    "list": ({"type": "array", "items": {"type": "integer"}}, [1]),
    "object": ({"type": "object"}, {}),
    "choice": ({"allOf": [{"$ref": "#/components/schemas/mode"}]}, "b"),
    "union": ({"anyOf": [{"type": "number"}, {"type": "string"}]}, 1),
    "anything": ({}, "Hello"),
}


@pytest.mark.parametrize(("schema", "expected"), PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_a_required_input_gets_a_placeholder_within_its_limits(schema, expected):
    assert default_inputs(document(["x"], x=schema), {}) == {"x": expected}


def test_an_empty_prompt_gets_a_placeholder_where_nothing_else_is_given():
    empty, number = {"type": "string", "default": ""}, {"type": "integer", "default": 3}
    schema = document([], n=number, prompt=empty, stop=empty)
    assert default_inputs(schema, {}) == {"prompt": "Hello"}
    assert default_inputs(schema, {"n": 4}) == {"n": 4}


def test_what_is_given_stays_and_what_has_a_default_is_left_to_it():
    schema = document(["a", "b"], a={"type": "string"}, b={"type": "integer"}, c={"type": "string", "default": "d"})
    assert default_inputs(schema, {"b": 7}) == {"a": "Hello", "b": 7}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string", "format": "uri"}, "photo: has to be given, and a file cannot be made up; give it with -i"),
        ({"type": "string", "pattern": "^x+$"}, r"text like '\^x\+\$' cannot be made up"),
    ],
)
def test_a_file_or_a_pattern_cannot_be_made_up(schema, message):
    with pytest.raises(InputError, match=message):
        default_inputs(document(["photo"], photo=schema), {})
