"""What a caller can rely on, the same at every platform: what goes in and what comes out."""

import hashlib
import io
import json

import pytest

from pilotlight.errors import InputError, PredictionFailedError
from pilotlight.types import Status

VALUES = {
    "text": "naïve \U0001f600 \u2028 \r\n",
    "empty text": "",
    "number": -1.5,
    "large integer": 12345678901234567890,
    "true": True,
    "list": [1, "a", None, {"x": [1.5]}],
    "list of one": ["a"],
    "empty list": [],
    "lists": [[1, 2], [3]],
    "object": {"é\u2028": {"deep": [1, {"er": None}]}},
    "empty object": {},
}


def url_of(text):
    return f"data:text/plain;base64,{text}"


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_of_any_kind_arrives_as_it_was_returned(values, value):
    output = values.client.run({"do": "value", "value": {"is": value}}).output
    assert output == (value if values.can.exact_objects or value != {} else None)


def test_nothing_is_an_output_too(values):
    handle = values.client.submit({"do": "value"})
    result = handle.wait()
    assert (result.status, result.output, list(handle)) == (Status.SUCCEEDED, None, [])


def test_an_object_may_have_names_that_the_platform_uses(values):
    value = {"error": "none", "output": 1, "status": "failed", "refresh_worker": False, "id": "x"}
    output = values.client.run({"do": "value", "value": {"is": value}}).output
    assert output == (value if values.can.exact_objects else {"output": value})


def test_five_megabytes_of_text_come_in_one_piece(values):
    assert values.client.run({"do": "text", "text": "0123456789", "count": 500_000}).output == "0123456789" * 500_000


def test_three_megabytes_of_text_go_in(values):
    assert values.client.run({"do": "text", "text": "é" * 1_500_000, "count": 0}).output == ""


def test_a_request_above_what_the_platform_takes_is_refused_by_the_input(values):
    size = (values.can.largest_input_bytes or 4_000_000) + 1
    inputs = {"do": "text", "text": "x" * size, "tags": ["small"], "count": 0}
    if values.can.largest_input_bytes is None:
        assert values.client.run(inputs).output == ""
    else:
        with pytest.raises(InputError, match=f"text: the request has .* bytes.*{values.can.largest_input_bytes:,}"):
            values.client.run(inputs)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "do: .*required"),
        ({"do": None}, "do: .*required"),
        ({"do": "sing"}, "do: .*sing.*value.*text"),
        ({"do": "value", "text": 5}, "text: .*string"),
        ({"do": "value", "count": "many"}, "count: .*integer"),
        ({"do": "value", "count": -1}, "count: .*minimum of 0"),
        ({"do": "value", "ratio": 1.5}, "ratio: .*maximum of 1"),
        ({"do": "value", "ratio": float("nan")}, "ratio: .*JSON"),
        ({"do": "value", "text": "half \ud83d"}, "text: "),
        ({"do": "value", "tags": "a"}, "tags: .*array"),
        ({"do": "value", "tags": ["a", 1]}, "tags"),
        ({"do": "value", "document": "/etc/hostname"}, "document: .*URL"),
        ({"do": "value", "document": "file:///etc/hostname"}, "document: .*URL"),
        ({"do": "value", "value": object()}, "value: .*JSON"),
    ],
)
def test_a_wrong_input_is_refused_by_name_before_it_is_sent(values, inputs, words):
    with pytest.raises(InputError, match=words):
        values.client.submit(inputs)


def test_an_unknown_input_is_ignored_by_every_platform_with_a_warning_of_the_client(values, caplog):
    wrong = {"do": "text", "text": "a", "count": 1, "txt": "b"}
    for _ in range(2):
        assert values.client.run(wrong).output == "a"
    (message,) = [record.getMessage() for record in caplog.records if "txt" in record.getMessage()]
    assert "did you mean 'text'" in message
    with values.another(check=False) as client:
        assert client.run(wrong).output == "a"
    with values.another(strict_inputs=True) as client, pytest.raises(InputError, match=r"txt: .*did you mean 'text'"):
        client.submit(wrong)


def test_a_client_without_a_schema_hears_of_it_from_the_platform_or_the_predictor(values):
    wrong = {"do": "value", "count": -1}
    with values.another(check=False) as client, pytest.raises((InputError, PredictionFailedError), match="count"):
        client.run(wrong)


def test_the_schema_is_the_platforms_or_the_callers(values):
    properties = values.client.schema()["components"]["schemas"]["Input"]["properties"]
    assert properties["ratio"]["maximum"] == 1
    if not values.can.gives_schema:
        with values.another(schema=None) as client:
            assert client.schema() is None


def test_files_go_in_however_they_are_given(values, tmp_path):
    path = tmp_path / "ünïcode 文.txt"
    path.write_text("from a path: é")
    with path.open("rb") as file:
        output = values.client.run(
            {"do": "look", "document": path, "documents": [b"bytes", file, io.StringIO("text"), url_of("aGk=")]}
        ).output
    expected = ["from a path: é", "bytes", "from a path: é", "text", "hi"]
    assert [one[1:] for one in output] == [
        [len(text.encode()), hashlib.sha256(text.encode()).hexdigest()] for text in expected
    ]
    assert output[0][0].endswith(".txt")  # predictors go by that


def test_a_large_file_goes_in(values, tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(range(256)) * 1200)
    output = values.client.run({"do": "look", "document": path}).output
    assert output[0][1:] == [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]


def test_a_file_that_cannot_be_read_is_refused_by_name(values, tmp_path):
    with pytest.raises(InputError, match=r"document: cannot read .*missing"):
        values.client.run({"do": "look", "document": tmp_path / "missing"})


def test_a_url_that_leads_nowhere_is_an_error_that_names_it(values):
    expected = PredictionFailedError if values.can.private_urls else InputError
    with pytest.raises(expected, match=r"127\.0\.0\.1"):
        values.client.run({"do": "look", "document": "http://127.0.0.1:9/x.txt"})


@pytest.mark.parametrize("count", [0, 1, 2])
def test_files_come_out_as_urls(values, count):
    output = values.client.run({"do": "files", "text": "ünïcode 文.txt", "count": count}).output
    assert output == [url_of(text) for text in ("MA==", "MQ==")[:count]]


def test_a_file_deep_in_an_object_comes_out_as_a_url(values):
    output = values.client.run({"do": "nested", "text": "a.txt"}).output
    assert output == {"files": [{"file": url_of("ZGVlcA==")}], "text": "a.txt"}


def test_logs_are_whole_and_in_order(values):
    logs = values.client.run({"do": "log", "text": "zeile \U0001f600 ü ", "count": 300}).logs
    expected = "".join(f"zeile \U0001f600 ü {number}\n" for number in range(300))
    assert logs == ("" if values.can.logs == "no" else expected)


def test_numbers_and_words_that_a_predictor_records_arrive(values):
    metrics = values.client.run({"do": "measure", "text": "wörds", "count": 30, "ratio": 0.25}).metrics
    recorded = {name: value for name, value in metrics.items() if name.startswith(("number", "ratio", "words"))}
    expected = {f"number_{number}": number for number in range(30)} | {"ratio": 0.25, "words": "wörds"}
    assert recorded == (expected if values.can.metrics else {})


def test_a_failure_says_its_words_whatever_they_are(values):
    with pytest.raises(PredictionFailedError, match="schlüssel \U0001f600\nzweite Zeile"):
        values.client.run({"do": "raise", "text": "schlüssel \U0001f600\nzweite Zeile"})


def test_a_secret_is_in_nothing_that_is_shown(values):
    secret = "open-sesame-1234"
    handle = values.client.submit({"do": "raise", "text": "wrong", "token": secret})
    result = handle.wait()
    with pytest.raises(PredictionFailedError) as caught:
        result.raise_for_status()
    shown = (
        f"{result!r} {handle!r} {handle.logs} {caught.value!r} {caught.value.logs} {json.dumps(dict(result.metrics))}"
    )
    assert "wrong" in shown
    assert secret not in shown
    with pytest.raises(InputError) as refused:
        values.client.run({"do": "raise", "token": secret, "count": -1})
    assert secret not in str(refused.value)
