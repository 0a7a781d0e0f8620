"""Inputs against a schema. tests/cog/test_gateway_live.py compares the words with those of a real Cog server."""

import pytest

from pilotlight.runtime.schema.validation import InvalidInputError, Mistake, Validator
from tests.gateway.made import DOCUMENT

VALIDATOR = Validator(DOCUMENT)


def mistakes(inputs, **options):
    with pytest.raises(InvalidInputError) as caught:
        VALIDATOR.check(inputs, **options)
    return caught.value.mistakes


def test_a_good_input_comes_back_without_what_is_null():
    assert VALIDATOR.check({"prompt": "a", "count": None}) == {"prompt": "a"}


def test_every_mistake_is_told():
    assert mistakes({"count": 10, "mode": "odd"}) == [
        Mistake("count", "10 is greater than the maximum of 9"),
        Mistake("mode", '"odd" is not one of ["loud","quiet"]'),
        Mistake("prompt", "Field required", "value_error.missing"),
    ]


def test_an_unknown_input_is_ignored_whatever_it_holds():
    assert VALIDATOR.check({"prompt": "a", "promt": "b", "odd": "\ud800", "null": None}) == {"prompt": "a"}
    (mistake,) = mistakes({"promt": "b"})
    assert mistake == Mistake("prompt", "Field required", "value_error.missing")


def test_an_unknown_input_is_refused_with_the_nearest_name_where_that_is_asked_for():
    (mistake,) = mistakes({"prompt": "a", "promt": "b"}, strict=True)
    assert [one.field for one in mistakes({"promt": "b", "count": 10, "x": 1}, strict=True)] == [
        *("count", "prompt", "promt", "x")
    ]
    assert mistake.field == "promt"
    assert "did you mean 'prompt'?" in mistake.message
    assert mistake.detail == {"loc": ["body", "input", "promt"], "msg": mistake.message, "type": "value_error.extra"}


def test_text_that_is_no_unicode_is_refused():
    assert mistakes({"prompt": "\ud800"})[0].field == "prompt"


def test_a_secret_is_neither_shown_nor_quoted():
    assert VALIDATOR.redact({"prompt": "a", "token": "xyz"}) == {"prompt": "a", "token": "**********"}
    (mistake,) = mistakes({"prompt": "a", "token": "xy"})
    assert mistake == Mistake("token", "this secret is not what the schema allows")
    assert "xy" not in str(InvalidInputError([mistake]))


def test_without_a_schema_anything_goes():
    assert Validator({}).check({"x": [1, None]}) == {"x": [1, None]}


def test_a_schema_that_cannot_be_compiled_allows_anything_as_on_the_server():
    inputs = {"type": "object", "properties": {"s": {"type": "string", "pattern": "["}}, "required": ["s"]}
    assert Validator({"components": {"schemas": {"Input": inputs}}}).check({"s": 1}) == {"s": 1}
