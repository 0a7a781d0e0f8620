import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import InputError, UsageError
from pilotlight.runtime.http.request import (
    MAX_BODY_BYTES,
    check_prediction_id,
    encode_body,
    new_prediction_id,
    refusal,
)


def test_made_up_ids_are_accepted_and_differ():
    ids = {check_prediction_id(new_prediction_id()) for _ in range(100)}
    assert len(ids) == 100


@pytest.mark.parametrize("bad", ["", "..", "a/b", "../../etc", "a b", "é", "-a", "a\n", "a" * 129, "a%2Fb"])
def test_an_id_that_could_leave_its_folder_is_refused(bad):
    with pytest.raises(UsageError, match="prediction id"):
        check_prediction_id(bad)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_a_body_holds_the_inputs_without_the_nulls(inputs):
    body = json.loads(encode_body(inputs, {"who": "me"}))
    assert body == {"input": {k: v for k, v in inputs.items() if v is not None}, "context": {"who": "me"}}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a\ud800b", "U\\+D800"),
        (["fine", {"deep": "\udfff"}], "U\\+DFFF"),
        (float("nan"), "JSON"),
        (float("inf"), "JSON"),
        (b"bytes", "JSON"),
        ({"key": object()}, "JSON"),
    ],
)
def test_what_cannot_be_sent_is_named(value, problem):
    with pytest.raises(InputError, match=problem) as caught:
        encode_body({"fine": 1, "odd": value})
    assert caught.value.name == "odd"


def test_nesting_without_an_end_is_refused():
    value = []
    value.append(value)
    with pytest.raises(InputError, match="odd: cannot be sent"):
        encode_body({"odd": value})


def test_deep_nesting_is_refused():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match="odd: is nested too deeply"):
        encode_body({"odd": value})


def test_a_request_that_is_too_large_names_the_largest_input():
    with pytest.raises(InputError, match=f"takes {MAX_BODY_BYTES:,}") as caught:
        encode_body({"empty": None, "small": "a", "large": "b" * MAX_BODY_BYTES})
    assert caught.value.name == "large"


def test_a_refusal_names_every_input():
    error = refusal(
        {
            "detail": [
                {"loc": ["body", "input", "n"], "msg": "-1 is less than the minimum of 0"},
                {"loc": ["body", "input", "mode"], "msg": "Field required"},
            ]
        }
    )
    assert str(error) == "n: -1 is less than the minimum of 0; mode: Field required"
    assert error.name == "n"


def test_a_refusal_does_not_repeat_a_long_value():
    error = refusal({"detail": [{"loc": ["body", "input", "n"], "msg": f'"{"x" * 10_000_000}" is not a number'}]})
    assert len(str(error)) < 300
    assert str(error).endswith("is not a number")


@pytest.mark.parametrize("body", ["no JSON at all", {"error": "no JSON at all"}])
def test_a_refusal_of_another_shape_is_passed_on(body):
    assert str(refusal(body)) == "input: no JSON at all"
