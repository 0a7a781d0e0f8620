"""What a new schema breaks of an old one."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.gateway.registry.compatibility import find_incompatibilities
from pilotlight.runtime.schema.validation import InvalidInputError, Validator
from tests.gateway.made import DOCUMENT
from tests.paths import ROOT

EVERY_TYPE = json.loads((ROOT / "tests" / "runtime" / "schema" / "types_inputs.openapi.json").read_text())


def document(output=None, **inputs):
    """A document with these inputs; those with ``must`` are required."""
    properties = {
        name: {key: value for key, value in schema.items() if key != "must"} for name, schema in inputs.items()
    }
    required = [name for name, schema in inputs.items() if schema.get("must")]
    schemas = {"Input": {"type": "object", "properties": properties, "required": required}, "Output": output or {}}
    return {"components": {"schemas": schemas}}


INTEGER, NUMBER, TEXT, FILE = (
    {"type": "integer"},
    {"type": "number"},
    {"type": "string"},
    {"type": "string", "format": "uri"},
)
NUMBERS = {"type": "array", "items": NUMBER}


def words(older, newer):
    return [str(one) for one in find_incompatibilities(older, newer)]


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        (TEXT, None, "was removed"),
        (None, TEXT | {"must": True}, "is new and has to be given; give it a default"),
        (TEXT, TEXT | {"must": True}, "has to be given now"),
        (TEXT, INTEGER, "its type went from string to integer"),
        (NUMBER, INTEGER, "its type went from number to integer"),
        (TEXT, FILE, "its type went from string to file"),
        ({}, TEXT, "its type went from anything to string"),
        ({"anyOf": [TEXT, INTEGER]}, INTEGER, "its type went from string or integer to integer"),
        (NUMBERS, TEXT, "its type went from array of number to string"),
        (INTEGER | {"minimum": 0}, INTEGER | {"minimum": 1}, "its minimum went from 0 to 1"),
        (INTEGER | {"maximum": 9}, INTEGER | {"maximum": 5}, "its maximum went from 9 to 5"),
        (INTEGER, INTEGER | {"maximum": 5}, "has a maximum of 5 now"),
        (TEXT, TEXT | {"minLength": 3}, "has a least length of 3 now"),
        (TEXT | {"maxLength": 9}, TEXT | {"maxLength": 3}, "its greatest length went from 9 to 3"),
        (TEXT | {"enum": ["a", "b", "c"]}, TEXT | {"enum": ["b"]}, 'can no longer be "a" or "c"'),
        (TEXT, TEXT | {"enum": ["a"]}, 'has to be "a" now'),
        (TEXT, TEXT | {"pattern": "^a$"}, "has to match a regular expression now: ^a$"),
        (TEXT | {"pattern": "^b$"}, TEXT | {"pattern": "^a$"}, "has to match another regular expression now: ^a$"),
    ],
)
def test_what_an_input_can_break_is_said_in_words(before, now, what):
    older, newer = (document(**({} if one is None else {"x": one})) for one in (before, now))
    assert words(older, newer) == [f"input x: {what}"]


def test_places_within_an_input_are_named():
    older = document(x=NUMBERS, y={"type": "object", "properties": {"a": TEXT}})
    newer = document(
        x={"type": "array", "items": INTEGER},
        y={"type": "object", "properties": {"a": INTEGER}, "required": ["a"], "additionalProperties": TEXT},
    )
    assert words(older, newer) == [
        "input x[]: its type went from number to integer",
        "input y.a: has to be given now",
        "input y.a: its type went from string to integer",
        "input y{}: its type went from anything to string",
    ]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, TEXT),
        (TEXT | {"must": True}, TEXT),
        (INTEGER, NUMBER),
        (INTEGER, {}),
        (FILE, TEXT),
        (INTEGER, {"anyOf": [TEXT, NUMBER]}),
        ({"anyOf": [INTEGER, NUMBER]}, NUMBER),
        (INTEGER | {"minimum": 1, "maximum": 5}, INTEGER | {"minimum": 0}),
        (TEXT | {"enum": ["a"], "default": "a"}, TEXT | {"enum": ["a", "b"], "default": "b"}),
        (TEXT | {"pattern": "^a$"}, TEXT | {"pattern": "^a$"}),
        (TEXT | {"description": "one", "x-order": 0}, TEXT | {"description": "other", "x-order": 1}),
    ],
)
def test_what_breaks_nobody_is_no_break(before, now):
    older, newer = (document(**({} if one is None else {"x": one})) for one in (before, now))
    assert words(older, newer) == []


TEXTS = {"type": "array", "items": TEXT}
CHUNKS = TEXTS | {"x-cog-array-type": "iterator"}
JOINED = CHUNKS | {"x-cog-array-display": "concatenate"}
SCORED = {"type": "object", "properties": {"label": TEXT, "score": NUMBER}, "required": ["label", "score"]}


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        (TEXT, TEXTS, ["output: its type went from string to array of string"]),
        (CHUNKS, TEXTS, ["output: no longer comes chunk by chunk"]),
        (CHUNKS, JOINED, ["output: comes as one text now"]),
        (INTEGER, NUMBER, ["output: its type went from integer to number"]),
        (NUMBER, INTEGER, []),
        ({}, TEXT, []),
        (TEXT, {}, ["output: its type went from string to anything"]),
        (TEXT, TEXT | {"nullable": True}, ["output: may be null now"]),
        (TEXT | {"enum": ["a"]}, TEXT | {"enum": ["a", "b"]}, ['output: its enum is no longer ["a"]']),
        (SCORED, SCORED | {"properties": {**SCORED["properties"], "extra": TEXT}}, []),
        (
            SCORED,
            {"type": "object", "properties": {"label": TEXT | {"nullable": True}}, "required": ["label"]},
            ["output.score: is no longer always there", "output.label: may be null now"],
        ),
    ],
)
def test_what_an_output_can_break(before, now, what):
    assert words(document(before), document(now)) == what


def test_choices_are_found_where_cog_writes_them():
    newer = copy.deepcopy(DOCUMENT)
    newer["components"]["schemas"]["mode"]["enum"] = ["quiet"]
    assert words(DOCUMENT, newer) == ['input mode: can no longer be "loud"']
    assert words(newer, DOCUMENT) == []


@pytest.mark.parametrize("one", [DOCUMENT, EVERY_TYPE, {}])
def test_a_schema_breaks_nothing_of_itself(one):
    assert words(one, one) == []


SCALARS = st.one_of(
    st.builds(
        lambda kind, low, high: {"type": kind, **low, **high},
        st.sampled_from(["integer", "number"]),
        st.sampled_from([{}, {"minimum": 0}, {"minimum": 2}]),
        st.sampled_from([{}, {"maximum": 3}, {"maximum": 5}]),
    ),
    st.builds(
        lambda low, high, choices: {"type": "string", **low, **high, **choices},
        st.sampled_from([{}, {"minLength": 1}, {"minLength": 2}]),
        st.sampled_from([{}, {"maxLength": 2}, {"maxLength": 3}]),
        st.sampled_from([{}, {"enum": ["a", "bb"]}, {"enum": ["bb"]}]),
    ),
    st.sampled_from([{}, {"type": "boolean"}]),
)
SCHEMAS = st.one_of(
    SCALARS,
    st.builds(lambda of: {"type": "array", "items": of}, SCALARS),
    st.builds(lambda some: {"anyOf": some}, st.lists(SCALARS, min_size=1, max_size=2)),
)
INPUTS = st.fixed_dictionaries({}, optional={name: st.tuples(SCHEMAS, st.booleans()) for name in "xy"})
PLAIN = st.one_of(
    st.integers(-1, 6), st.sampled_from([0.5, 2.5]), st.sampled_from(["", "a", "bb", "ccc"]), st.booleans()
)
VALUES = st.one_of(PLAIN, st.lists(PLAIN, max_size=2))


def takes(one, inputs):
    try:
        Validator(one).check(inputs, strict=True)  # an input that the older one ignores is not one of its own
    except InvalidInputError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(INPUTS, INPUTS, st.lists(st.dictionaries(st.sampled_from("xy"), VALUES), min_size=1, max_size=8))
def test_without_breaks_whatever_the_older_one_takes_the_newer_one_takes(before, now, tried):
    older, newer = (
        document(**{n: {**schema, "must": must} for n, (schema, must) in one.items()}) for one in (before, now)
    )
    if not find_incompatibilities(older, newer):
        assert [inputs for inputs in tried if takes(older, inputs) and not takes(newer, inputs)] == []
