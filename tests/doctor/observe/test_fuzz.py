"""Inputs meant to be too much, and small inputs, from schemas."""

import pytest

from pilotlight.doctor.observe.fuzz import cases
from pilotlight.doctor.observe.small_inputs import with_small_work
from pilotlight.runtime.predictor_schema import PredictorSchema


def schema_of(**properties):
    choices = {"type": "string", "enum": ["x"]}
    return PredictorSchema.of({"components": {"schemas": {"Input": {"properties": properties}, "a": choices}}})


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"type": "integer"}, [0, -1, "many", 1_000_000]),
        ({"type": "integer", "minimum": 1, "maximum": 9}, [0, 10, "many"]),
        ({"type": "number", "minimum": 0.5}, [-0.5, "many", 1_000_000]),
        ({"allOf": [{"$ref": "#/components/schemas/a"}]}, ["no such choice"]),
        ({"type": "string", "format": "uri"}, ["data:application/octet-stream;base64,"]),
        ({"type": "string", "maxLength": 9, "minLength": 1}, ["\x00\u202e\U0001f4a5"]),
        ({"type": "string", "maxLength": 9}, ["", "\x00\u202e\U0001f4a5"]),
        ({"type": "string", "maxLength": 9, "default": ""}, ["\x00\u202e\U0001f4a5"]),
        ({"type": "string", "maxLength": 9, "minLength": 1, "description": "as JSON"}, ["{", "\x00\u202e\U0001f4a5"]),
        ({"type": "string", "pattern": "a+"}, []),
        ({"type": "string", "x-cog-secret": True}, []),
        ({"type": "array", "items": {"type": "string"}}, [[]]),
        ({"type": "boolean"}, []),
    ],
)
def test_cases(schema, values):
    assert [case.value for case in cases(schema_of(a=schema))] == values


def test_text_without_a_limit_gets_a_lot_of_it_last():
    *_, last = cases(schema_of(a={"type": "string"}, b={"type": "integer"}))
    assert (len(last.value), last.shown) == (100_000, "(100,000 characters)")


@pytest.mark.parametrize(
    ("properties", "given", "result"),
    [
        ({"seed": {"type": "integer"}}, {}, {"seed": 1}),
        ({"seed": {"type": "integer"}}, {"seed": 7}, {"seed": 7}),
        ({"seed": {"type": "string"}}, {}, {}),
        ({"max_new_tokens": {"type": "integer"}}, {}, {"max_new_tokens": 64}),
        ({"max_tokens": {"type": "integer", "maximum": 32}}, {}, {"max_tokens": 32}),
        ({"max_tokens": {"type": "integer", "minimum": 128}}, {}, {"max_tokens": 128}),
        ({"max_tokens": {"type": "integer"}, "max_new_tokens": {"type": "integer"}}, {}, {"max_tokens": 64}),
        ({"max_tokens": {"type": "integer"}}, {"max_new_tokens": 5}, {"max_new_tokens": 5}),
        ({"prompt": {"type": "string"}}, {"prompt": "a"}, {"prompt": "a"}),
    ],
)
def test_small_work(properties, given, result):
    assert with_small_work(given, schema_of(**properties)) == result
