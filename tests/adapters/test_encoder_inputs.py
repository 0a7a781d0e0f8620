from __future__ import annotations

import json

import pytest

from pilotlight.adapters.encoder_inputs import read_texts
from pilotlight.engines.encoders.types import TextRequest
from pilotlight.errors import InputError


def test_one_text_or_a_list_in_its_order() -> None:
    assert read_texts("one", "", truncate=True) == [TextRequest("one", "text", True)]
    assert read_texts("", '["one", "two"]', truncate=False) == [
        TextRequest("one", "texts[0]", False),
        TextRequest("two", "texts[1]", False),
    ]


def test_pairs_are_given_as_two_texts_or_as_items_of_two() -> None:
    assert read_texts("one", "", truncate=True, text_pair="two", pairs=True) == [
        TextRequest("one", "text", True, pair="two")
    ]
    assert read_texts("", '[["q", "a"], "x"]', truncate=True, pairs=True) == [
        TextRequest("q", "texts[0]", True, pair="a"),
        TextRequest("x", "texts[1]", True),
    ]
    for texts, message in [
        ('[["q"]]', "item 0 is a list, but not one of two texts"),
        ('[["q", ""]]', "not one of two"),
    ]:
        with pytest.raises(InputError, match=message):
            read_texts("", texts, truncate=True, pairs=True)
    with pytest.raises(InputError, match="item 0 is list, not a string"):
        read_texts("", '[["q", "a"]]', truncate=True)
    with pytest.raises(InputError, match="text_pair: belongs to text"):
        read_texts("", '["q"]', truncate=True, text_pair="a", pairs=True)


@pytest.mark.parametrize(
    ("text", "texts", "message"),
    [
        ("", "", "text: is empty"),
        ("x", '["y"]', "texts: is given together with text"),
        ("", "one", "texts: is not JSON"),
        ("", "[" * 100_000, "texts: is not JSON"),
        ("", '"one"', "texts: is not a list"),
        ("", "[]", "texts: is not a list with at least one text"),
        ("", '["one", 2]', "texts: item 1 is int, not a string"),
        ("", '["one", ""]', r"texts\[1\]: is empty"),
        ("", json.dumps(["x"] * 257), "texts: has 257 texts and at most 256"),
        ("", json.dumps(["x" * 90_000] * 12), "texts: has 1080000 characters in all and at most 1000000"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, texts: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_texts(text, texts, truncate=True)
