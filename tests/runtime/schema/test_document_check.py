"""The validation of a document by Cog's build tool, and the regular expressions that Go takes."""

from typing import Any

import pytest

from pilotlight.runtime.schema.document_check import compiles_in_go, document_problems


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "^a+$",
            "a+?",
            "a{1000}",
            "a{,3}",
            "[{]",
            "{",
            r"\d\.\w",
            r"\p{L}",
            r"\pN",
            "(?i)a",
            "(?i:a)",
            "(?P<x>a)",
            "(?<x>a)",
        ),
        *("[[:alpha:]]", r"\A\bab\z", "[]a]", r"[\]++]", r"\*+", "(a+)+", "a??", "(?s-i)a"),
    ],
)
def test_go_takes(pattern: str) -> None:
    assert compiles_in_go(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", r"a\Z", "a{1001}", "a{2,1001}", "a++", "a**", "a{2}{3}"),
        *("[", "(", ")", "(?x)a", "(?u)a", "(?>a)", "(?P=x)", r"\<a", r"\cA", "*a", "(?#c)a"),
    ],
)
def test_go_refuses(pattern: str) -> None:
    assert not compiles_in_go(pattern)


def _problems(name: str = "s", **shape: Any) -> list[str]:
    schemas = {"Input": {"properties": {name: shape}}, name: {"enum": ["a", "b"], "type": "string"}}
    return list(document_problems({"components": {"schemas": schemas}}))


CHOICES = [{"$ref": "#/components/schemas/s"}]


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "string", "default": "abc", "pattern": "b"},
        {"type": "string", "default": "a{,3}", "pattern": "a{,3}"},
        {"type": "integer", "default": 3, "pattern": "(?=a)"},
        {"type": "string", "default": "", "minimum": 4},
        {"type": "number", "default": 3},
        {"type": "integer", "default": None, "nullable": True, "minimum": 4},
        {"allOf": CHOICES, "default": "a"},
        {"anyOf": [{"type": "string"}, {"type": "integer"}], "default": 3},
        {"type": "array", "items": {"type": "string"}, "default": []},
    ],
)
def test_a_valid_document(shape: dict[str, Any]) -> None:
    assert _problems(**shape) == []


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ({"type": "string", "default": "abc", "pattern": "d"}, "do not allow its default 'abc'"),
        ({"type": "integer", "default": 1.5}, "do not allow its default 1.5"),
        ({"type": "boolean", "default": 1}, "do not allow its default 1"),
        ({"type": "object", "default": "{}"}, "do not allow its default '{}'"),
        ({"type": "array", "items": {"type": "string"}, "default": [1]}, "do not allow its default [1]"),
        ({"allOf": CHOICES, "default": "c"}, "do not allow its default 'c'"),
        ({"allOf": CHOICES, "default": "a", "minLength": 2}, "do not allow its default 'a'"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}], "default": 1.5}, "do not allow its default 1.5"),
        ({"type": "string", "pattern": r"(a)\1"}, "cannot be compiled by Cog's build tool"),
    ],
)
def test_an_invalid_document(shape: dict[str, Any], problem: str) -> None:
    (found,) = _problems(**shape)
    assert found.startswith("parameter s: ")
    assert problem in found


def test_the_inputs_of_a_training_are_checked_too() -> None:
    schemas = {"Input": {}, "TrainingInput": {"properties": {"n": {"type": "integer", "default": "x"}}}}
    (found,) = document_problems({"components": {"schemas": schemas}})
    assert found.startswith("parameter n: ")
