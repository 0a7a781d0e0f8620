"""Inputs made up from a schema."""

import pytest

from pilotlight.errors import InputError
from pilotlight.runtime.example_inputs import complete_inputs, example_input
from pilotlight.runtime.predictor_schema import PredictorSchema


def schema_of(required, **properties):
    ordered = {name: {"x-order": number, **schema} for number, (name, schema) in enumerate(properties.items())}
    kinds = {"Input": {"properties": ordered, "required": required}, "mode": {"enum": ["b", "a"], "type": "string"}}
    return PredictorSchema.of({"components": {"schemas": kinds}})


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
    assert complete_inputs(schema_of(["x"], x=schema), {}) == {"x": expected}


def test_an_empty_prompt_gets_a_placeholder_where_nothing_else_is_given():
    empty, number = {"type": "string", "default": ""}, {"type": "integer", "default": 3}
    schema = schema_of([], n=number, prompt=empty, stop=empty)
    assert complete_inputs(schema, {}) == {"prompt": "Hello"}
    assert complete_inputs(schema, {"n": 4}) == {"n": 4}


def test_what_is_given_stays_and_what_has_a_default_is_left_to_it():
    schema = schema_of(["a", "b"], a={"type": "string"}, b={"type": "integer"}, c={"type": "string", "default": "d"})
    assert complete_inputs(schema, {"b": 7}) == {"a": "Hello", "b": 7}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string", "format": "uri"}, "photo: has to be given, and a file cannot be made up; give it with -i"),
        ({"type": "string", "pattern": "^x+$"}, r"text like '\^x\+\$' cannot be made up"),
    ],
)
def test_a_file_or_a_pattern_cannot_be_made_up(schema, message):
    with pytest.raises(InputError, match=message):
        complete_inputs(schema_of(["photo"], photo=schema), {})


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"type": "string"}, "Hello"),
        ({"type": "string", "default": "a cat"}, "a cat"),
        ({"type": "string", "format": "uri"}, "data:text/plain,hello"),
        ({"type": "string", "pattern": "^x$"}, "..."),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, ["data:text/plain,hello"]),
        ({"allOf": [{"$ref": "#/components/schemas/mode"}]}, "b"),
    ],
)
def test_an_example_holds_all_that_is_required_and_the_prompt(declared, value):
    text = {"type": "string"}
    assert example_input(schema_of(["given"], other=text, given=declared, prompt=text)) == {
        "given": value,
        "prompt": "Hello",
    }


def test_an_example_of_what_requires_nothing_holds_the_first_text():
    text, secret = {"type": "string", "default": ""}, {"type": "string", "x-cog-secret": True}
    assert example_input(schema_of([], key=secret, n={"type": "integer"}, a=text, b=text)) == {"a": "Hello"}
    assert example_input(PredictorSchema.of({})) == {}
