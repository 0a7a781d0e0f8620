import json

import pytest

from pilotlight.errors import PredictionCanceledError, PredictionFailedError, WorkerError
from pilotlight.runtime.events import (
    Completed,
    Log,
    Metric,
    Output,
    Started,
    decode_event,
    decode_prediction,
    raise_for_status,
    replay,
)
from pilotlight.types import Prediction, Status

DONE = {"id": "p", "status": "succeeded", "output": ["a", "b"], "logs": "said\n", "metrics": {"predict_time": 1.5}}


@pytest.mark.parametrize(
    ("name", "data", "event"),
    [
        ("start", {"id": "p", "status": "processing"}, Started("p")),
        ("log", {"source": "stderr", "data": "oh\n"}, Log("stderr", "oh\n")),
        ("metric", {"name": "tokens", "value": 3, "mode": "increment"}, Metric("tokens", 3, "increment")),
        ("output", {"chunk": {"any": "thing"}, "index": 2}, Output({"any": "thing"}, 2)),
        ("completed", DONE, Completed(decode_prediction(DONE))),
        ("something new", {}, None),
    ],
)
def test_events_of_the_server(name, data, event):
    assert decode_event(name, json.dumps(data)) == event


def test_dropped_events_are_an_error():
    with pytest.raises(WorkerError, match="lagged"):
        decode_event("error", json.dumps({"error": "SSE stream lagged; events were dropped", "skipped": 3}))


@pytest.mark.parametrize(
    ("name", "data"),
    [("start", "{}"), ("output", "nope"), ("completed", '{"id":"p","status":"what"}'), ("log", "[1]"), ("error", "1")],
)
def test_nonsense_is_an_error_that_shows_it(name, data):
    with pytest.raises(WorkerError, match="cannot be parsed"):
        decode_event(name, data)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Prediction failed: Prediction failed: ValueError: no", "Prediction failed: ValueError: no"),
        ("Prediction failed: Async prediction failed: no", "Prediction failed: Async prediction failed: no"),
        ("ValueError: no", "ValueError: no"),
        (None, None),
    ],
)
def test_a_failure_says_once_that_it_is_one(said, expected):
    assert decode_prediction({"id": "p", "status": "failed", "error": said}).error == expected


def test_a_prediction_without_what_is_optional():
    assert decode_prediction({"id": "p", "status": "canceled"}) == Prediction("p", Status.CANCELED)


def test_a_replay_is_what_would_have_been_streamed():
    prediction = decode_prediction(DONE)
    assert list(replay(prediction)) == [
        Started("p"),
        Log("stdout", "said\n"),
        Output("a", 0),
        Output("b", 1),
        Completed(prediction),
    ]
    single = Prediction("p", Status.SUCCEEDED, output={"a": 1})
    assert list(replay(single)) == [Started("p"), Output({"a": 1}, 0), Completed(single)]


def test_raise_for_status():
    fine = Prediction("p", Status.SUCCEEDED)
    assert raise_for_status(fine) is fine
    with pytest.raises(PredictionFailedError, match="boom") as caught:
        raise_for_status(Prediction("p", Status.FAILED, error="boom", logs="said"))
    assert caught.value.logs == "said"
    with pytest.raises(PredictionCanceledError, match="p was cancelled"):
        raise_for_status(Prediction("p", Status.CANCELED))
