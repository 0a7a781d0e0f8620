import asyncio
import json
import resource
import socket
import time

import httpx2
import pytest

from pilotlight.bench.load.records import RequestRecord, columns, failures
from pilotlight.bench.load.send import AsyncMode, PlainMode, Sender, StreamMode
from pilotlight.bench.load.turns import SlotQueue
from pilotlight.bench.load.webhook import receiving
from pilotlight.runtime.http.transport import Endpoint, Pool
from tests.bench.load.servers import answer, run, serving, succeeded


async def send(endpoint, way=PlainMode, *, turns=None, timeout_s=20.0):
    pool, record = Pool(endpoint), RequestRecord(time.monotonic())
    await Sender(pool, way(endpoint, {"n": 1}), turns=turns, timeout_s=timeout_s).send(record)
    pool.close()
    return record


def sent(*answers, way=PlainMode, **options):
    """The record of one prediction, whose tries are answered with these, and the requests."""
    left, requests = list(answers), []

    async def scenario():
        async def handle(head, body, reader, writer):
            requests.append((head, body))
            return left.pop(0)

        async with serving(handle) as endpoint:
            return await send(endpoint, way, **options)

    return run(scenario()), requests


def test_a_prediction():
    record, [(head, body)] = sent(succeeded(["a", "b"], metrics={"output_token_count": 7}))
    assert (record.outcome, record.http_status, record.outputs, record.tokens) == ("succeeded", 200, 2, 7)
    assert record.intended <= record.started <= record.sent <= record.done
    assert head.startswith("POST /predictions HTTP/1.1\r\n")
    assert json.loads(body)["input"] == {"n": 1}


@pytest.mark.parametrize(
    ("said", "outcome", "message"),
    [
        (answer(409, b"busy"), "rejected", "HTTP 409: busy"),
        (answer(429, b"slow"), "rejected", "HTTP 429: slow"),
        (answer(503, b"wait"), "rejected", "HTTP 503: wait"),
        (answer(500, b"oh"), "error", "HTTP 500: oh"),
        (answer(200, b'{"id": "a", "status": "failed", "error": "no"}'), "failed", "no"),
        (answer(200, b'{"id": "a", "status": "canceled"}'), "canceled", ""),
        (answer(200, b"<html>"), "error", "Expecting value"),
        (answer(200, b'{"id": "a", "status": "lost"}'), "error", "'lost' is not a valid"),
        (None, "error", "the server closed the connection"),
    ],
)
def test_what_does_not_succeed(said, outcome, message):
    record, _ = sent(said)
    assert record.outcome == outcome
    assert message in record.message
    assert record.done is not None


def test_what_is_refused_as_busy_waits_in_the_queue():
    busy = answer(409, b"busy")
    record, requests = sent(busy, busy, succeeded(), turns=SlotQueue())
    assert (record.outcome, record.refusals, len(requests)) == ("succeeded", 2, 3)
    assert record.started < record.sent
    # Only busy: who is told to come later is told so for another reason.
    record, requests = sent(answer(503, b"wait"), turns=SlotQueue())
    assert (record.outcome, len(requests)) == ("rejected", 1)


def test_a_timeout():
    async def scenario():
        async def handle(head, body, reader, writer):
            await asyncio.Event().wait()

        async with serving(handle) as endpoint:
            return await send(endpoint, timeout_s=0.05)

    record = run(scenario())
    assert (record.outcome, record.message) == ("timed_out", "no answer within 0.05 s")
    assert record.done - record.started >= 0.05


def test_in_the_queue_the_timeout_holds_as_well():
    record, _ = sent(*[answer(409)] * 1000, turns=SlotQueue(), timeout_s=0.3)
    assert (record.outcome, record.sent) == ("timed_out", None)


def test_nobody_listens():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        record = run(send(Endpoint("127.0.0.1", probe.getsockname()[1])))
    assert record.outcome == "error"
    assert "no connection" in record.message


def test_too_few_descriptors_are_our_fault_and_nothing_was_sent():
    async def scenario():
        async def handle(head, body, reader, writer):
            return succeeded()

        async with serving(handle) as endpoint:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket() as probe:  # the next descriptor would be above this one
                resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno() + 1, hard))
                try:
                    return await send(endpoint)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    record = run(scenario())
    assert (record.outcome, record.started, record.sent, record.done) == ("not_sent", None, None, None)


def events(*named):
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in named)
    return answer(200, text.encode(), "Content-Type: text/event-stream")


COMPLETED = ("completed", {"id": "a", "status": "succeeded", "output": ["x", "y"], "metrics": {}})


def test_a_stream():
    outputs = [("output", {"chunk": text, "index": index}) for index, text in enumerate("xy")]
    record, [(head, _)] = sent(events(("start", {"id": "a"}), *outputs, COMPLETED), way=StreamMode)
    assert (record.outcome, record.outputs, len(record.outputs_at)) == ("succeeded", 2, 2)
    assert record.sent <= record.outputs_at[0] <= record.outputs_at[1] <= record.done
    assert "Accept: text/event-stream\r\n" in head


@pytest.mark.parametrize(
    ("said", "outcome", "message"),
    [
        (succeeded(), "error", "the server does not stream"),
        (answer(406, b"no"), "error", "HTTP 406: no"),
        (answer(409, b"busy"), "rejected", "busy"),
        (events(("start", {"id": "a"})), "error", "the stream ended before the prediction did"),
        (events(("output", {"chunk": 1})), "error", "cannot be parsed"),
        (events(("completed", {"id": "a", "status": "failed", "error": "no"})), "failed", "no"),
    ],
)
def test_a_stream_that_does_not_succeed(said, outcome, message):
    record, _ = sent(said, way=StreamMode)
    assert record.outcome == outcome
    assert message in record.message


async def report(asked, body=None, path=None):
    async with httpx2.AsyncClient(trust_env=False) as client:
        content = json.dumps({"id": asked["id"], "status": "succeeded", "output": "yes"}) if body is None else body
        url = asked["webhook"] if path is None else str(httpx2.URL(asked["webhook"]).copy_with(path=path))
        return (await client.post(url, content=content)).status_code


def asynchronously(said, *, then, timeout_s=20.0):
    async def scenario():
        reports = []

        async def handle(head, body, reader, writer):
            reports.append(asyncio.create_task(then(json.loads(body))))
            return said

        async with serving(handle) as endpoint, receiving() as receiver:
            record = await send(endpoint, lambda where, inputs: AsyncMode(where, inputs, receiver), timeout_s=timeout_s)
            return record, await asyncio.gather(*reports)

    return run(scenario())


def test_a_webhook_ends_an_asynchronous_prediction():
    record, statuses = asynchronously(answer(202, b"{}"), then=report)
    assert (record.outcome, record.outputs, statuses) == ("succeeded", 1, [200])
    assert record.sent < record.done


def test_a_webhook_of_a_stranger_or_without_sense_ends_nothing():
    async def then(asked):
        stranger = {**asked, "id": "another"}
        return await report(asked, path="/guess"), await report(asked, body="{"), await report(stranger)

    record, statuses = asynchronously(answer(202, b"{}"), then=then, timeout_s=1.0)
    assert (record.outcome, statuses) == ("timed_out", [(400, 400, 200)])


@pytest.mark.parametrize(
    ("said", "outcome", "message"),
    [
        (succeeded(), "error", "the server does not predict asynchronously"),
        (answer(409, b"busy"), "rejected", "busy"),
        (answer(422, b"no"), "error", "HTTP 422"),
    ],
)
def test_an_asynchronous_prediction_that_is_not_accepted(said, outcome, message):
    async def then(asked):
        return None

    record, _ = asynchronously(said, then=then)
    assert record.outcome == outcome
    assert message in record.message


def test_records_become_columns_in_the_order_of_their_starts():
    late, early = (
        RequestRecord(12.0, started=12.5),
        RequestRecord(11.0, started=11.0, sent=11.25, done=11.5, outputs_at=[11.375]),
    )
    early.end("succeeded")
    late.end("rejected", "HTTP 409: busy")
    found = columns([late, early], 10.0)
    assert found.outcome == ("succeeded", "rejected")
    assert (found.intended_s, found.started_s, found.sent_s) == ((1.0, 2.0), (1.0, 2.5), (1.25, None))
    assert (found.done_s, found.output_s) == ((1.5, None), ((1.375,), ()))
    assert [(one.outcome, one.message, one.count) for one in failures([late, early])] == [
        ("rejected", "HTTP 409: busy", 1)
    ]
