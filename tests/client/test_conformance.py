"""What a caller can rely on, the same at every target."""

import itertools
import os
import re
import threading

import pytest

from pilotlight.client import Client
from pilotlight.errors import (
    DeadlineError,
    InputError,
    PredictionCanceledError,
    PredictionFailedError,
    TargetMissingError,
    TargetUnavailableError,
    UsageError,
)
from pilotlight.types import Status
from tests.client.homes import home

KINDS = ("project", "cog", "gateway", "runpod", "vertex", "sagemaker")
# RunPod passes on neither logs nor metrics of a job.
KEEPS_NO_LOGS = ("runpod",)
KEEPS_JOBS = ("gateway", "runpod")

TEXTS = (
    *("plain", "naïve café", "\U0001f600\U0001f469\u200d\U0001f469", " ", "{}", "data: x", "\t\x01"),
    *("line\nbreak\r\n", "\u2028\x85", "x" * 200_000),
)


@pytest.fixture(scope="module", params=KINDS)
def client(request, tmp_path_factory):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "none")  # boto3 signs with something, whoever looks at it
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    with home(request.param, "run_text", tmp_path_factory.mktemp("home")) as found:
        found.kind = request.param
        yield found


def test_run_returns_all_that_a_prediction_is(client):
    result = client.run({"prompt": "a", "count": 2})
    assert (result.status, result.output, result.error) == (Status.SUCCEEDED, ["a0 ", "a1 "], None)
    if client.kind not in KEEPS_NO_LOGS:
        assert "mode echo" in result.logs
        assert "to stderr" in result.logs
        assert result.metrics["count"] == 2
    assert result.target == str(client.target)
    times = result.timing
    assert 0 <= times.predict_s <= times.total_s
    assert times.wait_s >= 0
    assert result.cost_usd is None


def test_text_arrives_as_it_was(client):
    text = "|".join(TEXTS)
    assert client.run({"prompt": text, "count": 1}).output == [f"{text}0 "]


def test_text_is_streamed_as_it_was(client):
    # Replicate's protocol sends text as lines of server-sent events, which cannot carry a return; and its Python client
    # takes more than that for the end of a line, which the gateway heeds. The output of ``run`` has them all.
    text = "|".join(TEXTS)
    expected = re.sub("\r\n|[\u2028\x85]", "\n", text) if client.kind == "gateway" else text
    assert list(client.stream({"prompt": text, "count": 2})) == [f"{expected}0 ", f"{expected}1 "]


def test_a_stream_brings_chunks_while_the_prediction_runs(client):
    with_pauses = client.stream({"prompt": "b", "count": 200, "pause_s": 0.05})
    first = list(itertools.islice(with_pauses, 3))
    assert first == ["b0 ", "b1 ", "b2 "]
    with_pauses.close()
    # The only slot is free again: the prediction of 10 s has been cancelled.
    assert client.run({"prompt": "c", "count": 1}, timeout_s=5).output == ["c0 "]


def test_leaving_a_stream_does_not_wait_for_its_next_chunk(client):
    long = client.stream({"prompt": "b", "count": 2, "pause_s": 60})
    assert next(long) == "b0 "
    long.close()
    assert client.run({"prompt": "c", "count": 1}, timeout_s=20).output == ["c0 "]


def test_a_stream_of_much_output_is_whole(client):
    assert list(client.stream({"prompt": "d", "count": 1000})) == [f"d{number} " for number in range(1000)]


def test_no_output_is_no_chunk(client):
    assert list(client.stream({"prompt": "e", "count": 0})) == []


def test_a_failure_carries_message_and_logs(client):
    with pytest.raises(PredictionFailedError, match="boom") as caught:
        client.run({"prompt": "f", "mode": "raise"})
    assert ("mode raise" in caught.value.logs) == (client.kind not in KEEPS_NO_LOGS)


def test_a_stream_that_fails_gives_its_chunks_first(client):
    chunks = []
    with pytest.raises(PredictionFailedError, match="boom"):
        chunks.extend(client.stream({"prompt": "g", "mode": "raise", "count": 1}))
    handle = client.submit({"prompt": "g", "mode": "raise", "count": 1})
    assert handle.wait().status is Status.FAILED


def test_a_failure_spoils_nothing(client):
    assert client.run({"prompt": "h", "count": 1}).output == ["h0 "]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"prompt": "a", "promt": "b"}, "did you mean 'prompt'"),
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "a", "count": -1}, "count"),
        ({"prompt": "a", "count": "many"}, "count"),
        ({"prompt": "a", "pause_s": float("nan")}, "pause_s"),
        ({"prompt": "half \ud83d"}, "prompt"),
        ({"prompt": b"bytes" * 2, "count": object()}, "count"),
    ],
)
def test_a_wrong_input_is_refused_by_name_before_it_is_sent(client, inputs, words):
    with pytest.raises(InputError, match=words):
        client.run(inputs)


def test_submitted_predictions_are_told_of_as_often_as_asked(client):
    handle = client.submit({"prompt": "i", "count": 3})
    assert list(handle) == ["i0 ", "i1 ", "i2 "]
    assert list(handle) == ["i0 ", "i1 ", "i2 "]
    assert handle.wait().output == ["i0 ", "i1 ", "i2 "]
    assert handle.wait() is handle.wait()
    assert handle.status() is Status.SUCCEEDED
    if client.kind not in KEEPS_NO_LOGS:
        assert "mode echo" in handle.logs
        assert handle.metrics["count"] == 3
    handle.cancel()
    assert handle.status() is Status.SUCCEEDED


def test_a_cancel_ends_it_and_frees_the_slot(client):
    handle = client.submit({"prompt": "j", "count": 200, "pause_s": 0.05})
    next(iter(handle))
    assert handle.status() is Status.PROCESSING
    handle.cancel()
    result = handle.wait()
    assert result.status is Status.CANCELED
    with pytest.raises(PredictionCanceledError):
        result.raise_for_status()
    assert client.run({"prompt": "k", "count": 1}, timeout_s=5).output == ["k0 "]


def test_a_deadline_ends_it_at_the_target(client):
    with pytest.raises(DeadlineError, match=r"within 0\.6 s") as caught:
        client.run({"prompt": "l", "count": 200, "pause_s": 0.05}, timeout_s=0.6)
    assert caught.value.phase == "total"
    assert client.run({"prompt": "m", "count": 1}, timeout_s=5).output == ["m0 "]


def test_map_keeps_the_order_and_reads_no_further_than_it_needs(client):
    read = []

    def inputs():
        for number in range(6):
            read.append(number)
            yield {"prompt": f"n{number}-", "count": 1}

    results = client.map(inputs(), concurrency=3)
    assert next(results).output == ["n0-0 "]
    assert len(read) <= 4
    assert [one.output[0] for one in results] == [f"n{number}-0 " for number in range(1, 6)]


def test_map_gives_errors_in_their_places_where_asked_to(client):
    inputs = [{"prompt": "o", "count": 1}, {"prompt": "o", "mode": "raise"}, {"x": 1}, {"prompt": "o", "count": 1}]
    good, failed, wrong, last = client.map(inputs, concurrency=2, return_errors=True)
    assert good.output == last.output == ["o0 "]
    assert isinstance(failed, PredictionFailedError)
    assert isinstance(wrong, InputError)


def test_map_ends_with_the_first_error_and_leaves_nothing_running(client):
    inputs = [{"prompt": "p", "mode": "raise"}, *({"prompt": "p", "count": 60, "pause_s": 0.05} for _ in range(3))]
    with pytest.raises(PredictionFailedError):
        list(client.map(inputs, concurrency=4))
    assert client.run({"prompt": "q", "count": 1}, timeout_s=5).output == ["q0 "]


def test_a_hedge_takes_the_first_answer_and_cancels_the_other(client):
    result = client.run({"prompt": "r", "count": 10, "pause_s": 0.05}, hedge_after_s=0.1)
    assert result.output == [f"r{number} " for number in range(10)]
    assert client.run({"prompt": "s", "count": 1}, timeout_s=5).output == ["s0 "]


def test_threads_may_share_a_client(client):
    outputs = {}

    def one(number):
        outputs[number] = client.run({"prompt": f"t{number}-", "count": 1}).output

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs == {number: [f"t{number}-0 "] for number in range(3)}


def test_a_prediction_can_be_taken_up_by_another_client(client):
    if client.kind not in KEEPS_JOBS:
        with pytest.raises(UsageError, match="forgets a prediction"):
            client.attach("x")
        return
    handle = client.submit({"prompt": "u", "count": 3, "pause_s": 0.1})
    with Client(str(client.target), **client.settings) as other:
        assert other.attach(handle.id).wait().output == ["u0 ", "u1 ", "u2 "]
        with pytest.raises(TargetMissingError, match="404"):
            other.attach("nothing")


def test_a_worker_that_dies_fails_its_prediction_and_nothing_else(client):
    with pytest.raises((PredictionFailedError, TargetUnavailableError)):
        client.run({"prompt": "v", "mode": "die", "count": 0})
    if client.kind == "cog":
        # Nobody starts a bare server again.
        with pytest.raises(TargetUnavailableError):
            client.run({"prompt": "w", "count": 1}, timeout_s=30)
    else:
        assert client.run({"prompt": "w", "count": 1}, timeout_s=60).output == ["w0 "]
