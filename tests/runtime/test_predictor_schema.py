"""What OpenAPI documents say about predictors."""

import pytest

from pilotlight.errors import InputError
from pilotlight.runtime.predictor_schema import OutputKind, PredictorSchema, alternatives, type_names, within_limits

TEXT = {"type": "string"}
PLAIN = {"prompt": TEXT}
URI = {"type": "string", "format": "uri"}


def inputs(*required, **properties):
    declared = {"properties": properties, "required": list(required)}
    mode = {"type": "string", "enum": ["b", "a"], "description": "An enumeration."}
    return PredictorSchema.of({"components": {"schemas": {"Input": declared, "mode": mode}}})


def test_inputs_come_in_the_order_of_the_signature():
    schema = inputs("a", "c", a={"x-order": 1}, b={"x-order": 0}, c={})
    assert list(schema.inputs) == ["b", "a", "c"]
    assert schema.required == ["a", "c"]


def test_a_document_without_schemas_describes_nothing_and_allows_any_name():
    schema = PredictorSchema.of({})
    assert (schema.describes_inputs, schema.inputs, schema.output.schema) == (False, {}, {})
    schema.check_names(["anything"])
    assert inputs().describes_inputs


def test_an_unknown_name_gets_the_nearest_and_all_known_ones():
    with pytest.raises(
        InputError, match=r"promt: unknown input, did you mean 'prompt'. it takes prompt, seed"
    ) as caught:
        inputs(prompt={"x-order": 0}, seed={"x-order": 1}).check_names(["promt"])
    assert caught.value.name == "promt"


def test_an_unknown_name_of_a_predictor_without_inputs():
    with pytest.raises(InputError, match="this predictor takes none"):
        inputs().check_names(["prompt"])


def test_references_are_followed_and_the_keys_beside_them_win():
    declared = {"allOf": [{"$ref": "#/components/schemas/mode"}], "description": "How.", "default": "a"}
    mode = inputs(mode=declared).inputs["mode"]
    assert mode.choices == ["b", "a"]
    assert (mode.description, mode.schema["default"], mode.types) == ("How.", "a", {"string"})
    many = inputs(x={"type": "array", "items": {"$ref": "#/components/schemas/mode"}}).inputs["x"]
    assert many.schema["items"]["enum"] == ["b", "a"]


def test_a_type_that_contains_itself_allows_anything_where_it_comes_again():
    reference = {"$ref": "#/components/schemas/Output"}
    tree = {"type": "object", "properties": {"left": reference, "name": TEXT}}
    schema = PredictorSchema.of({"components": {"schemas": {"Output": tree}}}).output.schema
    assert schema["properties"]["left"] == {"type": "object", "properties": {"left": {}, "name": TEXT}}


@pytest.mark.parametrize(
    ("declared", "types"),
    [
        (TEXT, {"string"}),
        ({"anyOf": [{"type": "integer"}, {"anyOf": [TEXT, {"type": "null"}]}]}, {"integer", "string", "null"}),
        ({"oneOf": [{"type": "integer"}, TEXT]}, {"integer", "string"}),
        ({"type": ["string", "null"], "maxLength": 3}, {"string", "null"}),
        ({}, set()),
    ],
)
def test_the_types_that_a_value_may_have(declared, types):
    assert inputs(x=declared).inputs["x"].types == type_names(declared) == types
    assert sorted(one["type"] for one in alternatives(declared)) == sorted(types)


@pytest.mark.parametrize(
    ("declared", "file", "only_files"),
    [
        (URI, True, True),
        ({"type": "array", "items": URI}, True, True),
        ({"anyOf": [URI, TEXT]}, True, False),
        ({"type": "object", "additionalProperties": URI}, True, False),
        ({"type": "object", "default": {"format": "uri"}}, False, False),
        (TEXT, False, False),
    ],
)
def test_which_inputs_are_files(declared, file, only_files):
    found = inputs(x=declared).inputs["x"]
    assert (found.file, found.only_files) == (file, only_files)


def test_a_secret_within_a_list_is_a_secret():
    secret = {"type": "string", "x-cog-secret": True}
    found = inputs(a=secret, b={"type": "array", "items": secret}, c=TEXT).inputs
    assert [name for name, one in found.items() if one.secret] == ["a", "b"]


@pytest.mark.parametrize(
    ("number", "limits", "nearest"),
    [(5, {}, 5), (5, {"minimum": 7}, 7), (5, {"maximum": 3}, 3), (5, {"minimum": 1, "maximum": 9}, 5)],
)
def test_a_number_within_limits(number, limits, nearest):
    assert within_limits(number, limits) == nearest


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, OutputKind.TEXT),
        ({"type": "array", "items": {"type": "string"}, "x-cog-array-display": "concatenate"}, OutputKind.TEXT),
        ({"type": "array", "items": {"type": "object"}, "x-cog-array-type": "iterator"}, OutputKind.LINES),
        ({"type": "array", "items": {"type": "string"}}, OutputKind.JSON),
        ({"type": "integer"}, OutputKind.JSON),
        ({"title": "Output"}, OutputKind.JSON),
        (URI, OutputKind.FILE),
        ({"type": "array", "items": URI}, OutputKind.FILES),
        ({"type": "array", "items": URI, "x-cog-array-type": "iterator"}, OutputKind.FILES),
    ],
)
def test_how_an_output_is_shown(schema, kind):
    assert PredictorSchema.of({"components": {"schemas": {"Output": schema}}}).output.kind is kind


@pytest.mark.parametrize(
    ("inputs", "output", "text"),
    [
        (PLAIN, TEXT, True),
        ({"messages": TEXT}, {"type": "array", "items": TEXT}, True),
        (PLAIN, {"type": "string", "format": "uri"}, False),
        (PLAIN, {"type": "array", "items": {"type": "string", "format": "uri"}}, False),
        (PLAIN, {"type": "object"}, False),
        ({"text": TEXT}, TEXT, False),
    ],
)
def test_which_predictors_complete_text(inputs, output, text):
    document = {"components": {"schemas": {"Input": {"properties": inputs}, "Output": output}}}
    assert PredictorSchema.of(document).completes_text is text
