"""What a caller can rely on, the same at every platform: runs and streams of a predictor that yields text."""

import itertools
import re
import threading

from pilotlight.types import Status

TEXTS = (
    *("plain", "naïve café", "\U0001f600\U0001f469\u200d\U0001f469", " ", "{}", "data: x", "\t\x01"),
    *("line\nbreak\r\n", "\u2028\x85", "x" * 200_000),
)


def free_again(platform):
    """Whether the only slot is: a prediction that goes on for longer would keep it."""
    return platform.client.run({"prompt": "free", "count": 1}, timeout_s=120).output == ["free0 "]


def test_run_returns_all_that_a_prediction_is(streams):
    result = streams.client.run({"prompt": "a", "count": 2, "pause_s": 0.05})
    assert (result.status, result.output, result.error) == (Status.SUCCEEDED, ["a0 ", "a1 "], None)
    assert result.logs == ("" if streams.can.logs == "no" else "mode echo\nto stderr\n")
    assert result.metrics.get("count") == (2 if streams.can.metrics else None)
    assert result.target == streams.running.target
    assert result.cost_usd is None
    times = result.timing
    assert 0 < times.predict_s <= times.total_s
    assert times.wait_s >= 0
    assert (times.queue_s is not None) is (times.cold is not None) is streams.can.tells_cold_start


def test_text_arrives_and_is_streamed_as_it_was(streams):
    # Replicate's protocol sends text as lines of server-sent events, which cannot carry a return; and its Python client
    # takes more than that for the end of a line, as the gateway does. The output of ``run`` has them all.
    text = "|".join(TEXTS)
    streamed = text if streams.can.exact_stream else re.sub("\r\n|[\u2028\x85]", "\n", text)
    handle = streams.client.submit({"prompt": text, "count": 2})
    assert list(handle) == [f"{streamed}0 ", f"{streamed}1 "]
    assert handle.wait().output == [f"{text}0 ", f"{text}1 "]


def test_a_stream_brings_chunks_while_the_prediction_runs(streams):
    with_pauses = streams.client.stream({"prompt": "b", "count": 200, "pause_s": 0.05})
    assert list(itertools.islice(with_pauses, 3)) == ["b0 ", "b1 ", "b2 "]
    with_pauses.close()


def test_leaving_a_stream_does_not_wait_for_its_next_chunk(streams):
    long = streams.client.stream({"prompt": "b", "count": 2, "pause_s": 600})
    assert next(long) == "b0 "
    long.close()
    assert free_again(streams)


def test_a_stream_is_left_with_its_client(streams):
    with streams.another() as other:
        long = other.stream({"prompt": "c", "count": 2, "pause_s": 600})
        assert next(long) == "c0 "
    assert free_again(streams)


def test_a_stream_of_many_chunks_is_whole_and_in_order(streams):
    expected = [f"d{number} " for number in range(streams.can.many_chunks)]
    chunks = list(streams.client.stream({"prompt": "d", "count": len(expected)}))
    assert "".join(chunks) == "".join(expected)
    # Text that comes faster than it can be sent on may come in larger pieces.
    assert chunks == expected or not streams.can.exact_stream


def test_a_chunk_may_have_a_megabyte(streams):
    text = "0123456789" * 100_000
    chunks = list(streams.client.stream({"prompt": text, "count": 2}))
    assert "".join(chunks) == f"{text}0 {text}1 "


def test_an_output_of_five_megabytes_is_whole(streams):
    text = "€" * 80_000
    assert streams.client.run({"prompt": text, "count": 21}).output == [f"{text}{number} " for number in range(21)]


def test_no_chunk_is_an_empty_output(streams):
    handle = streams.client.submit({"prompt": "e", "count": 0})
    assert (list(handle), handle.wait().output) == ([], [])


def test_a_handle_tells_what_was_streamed_as_often_as_asked_and_to_all(streams):
    handle = streams.client.submit({"prompt": "i", "count": 20, "pause_s": 0.005})
    seen = {}

    def read(reader):
        seen[reader] = list(handle)

    readers = [threading.Thread(target=read, args=(reader,)) for reader in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(120)
    expected = [f"i{number} " for number in range(20)]
    assert "".join(seen[0]) == "".join(seen[1]) == "".join(expected)
    assert list(handle) == seen[0]
    assert handle.wait().output == expected
    assert handle.wait() is handle.wait()
    assert handle.status() is Status.SUCCEEDED
    assert (handle.logs, handle.metrics) == (handle.wait().logs, handle.wait().metrics)
