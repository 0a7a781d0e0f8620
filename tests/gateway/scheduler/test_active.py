"""A prediction in memory, and its stream."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway import sse
from pilotlight.gateway.scheduler.active import ActivePrediction, replayed
from pilotlight.gateway.sse import StreamEvent
from pilotlight.runtime import Log, Output
from pilotlight.types import Prediction, Status
from tests.gateway.made import made_record, run


def finished(active, status=Status.SUCCEEDED, **fields):
    return lifecycle.finish(active.record, Prediction(active.id, status, **fields), 102.0)


def begun(**options):
    active = ActivePrediction(made_record(), **options)
    active.update(lifecycle.begin(active.record, 101.0))
    return active


async def read(active):
    return [(event.name, event.data) async for event in active.follow()]


def test_readers_early_and_late_hear_the_same():
    async def scenario():
        active = begun()
        early = asyncio.create_task(read(active))
        active.feed(Log("stdout", "hello\n"))
        active.feed(Output("a", 0))
        await asyncio.sleep(0)
        active.feed(Output({"b": 1}, 1))
        assert active.record.output == ["a", {"b": 1}]
        assert active.record.logs == "hello\n"
        active.update(finished(active, output=["a", {"b": 1}], logs="hello\n"))
        expected = [("logs", "hello\n"), ("output", "a"), ("output", '{"b": 1}'), ("done", "{}")]
        assert await early == expected
        assert await read(active) == expected
        assert [(one.name, one.data) for one in replayed(active.record)] == expected

    run(scenario())


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (Status.CANCELED, [("done", '{"reason":"canceled"}')]),
        (Status.FAILED, [("error", '{"detail": "boom"}'), ("done", '{"reason":"error"}')]),
    ],
)
def test_how_a_stream_ends(status, end):
    async def scenario():
        active = begun()
        active.update(finished(active, status, error="boom"))
        return await read(active)

    assert run(scenario()) == end


def test_an_output_that_is_no_iterator_shows_only_when_it_is_whole():
    async def scenario():
        active = begun(iterates=False)
        active.feed(Output(5, 0))
        assert active.record.output is None
        active.update(finished(active, output=5))
        assert active.record.output == 5

    run(scenario())


def test_silence_is_told_and_waits_have_their_limits():
    async def scenario():
        active = begun()
        events = active.follow(silence_s=0.001)
        assert await anext(events) is None
        await events.aclose()
        assert not await active.wait_ended(0.001)
        active = ActivePrediction(made_record())
        active.update(lifecycle.cancel(active.record, 102.0))
        assert await active.wait_ended()

    run(scenario())


def test_an_abandoned_one_keeps_nobody_waiting():
    async def scenario():
        active = ActivePrediction(made_record())
        reader = asyncio.create_task(read(active))
        waiter = asyncio.create_task(active.wait_ended())
        await asyncio.sleep(0)
        active.close()
        assert await reader == []
        assert await waiter is False

    run(scenario())


@given(st.text())
def test_an_event_holds_every_character_but_the_kind_of_line_end(text):
    sent = sse.encode(StreamEvent("output", text), "7:0").decode()
    assert sent.endswith("\n\n")
    lines = sent.splitlines()
    assert lines[:2] == ["event: output", "id: 7:0"]
    data = [line.removeprefix("data: ") for line in lines[2:-1]]
    assert all(line.startswith("data: ") for line in lines[2:-1])
    ends = ["\r\n", *"\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"]
    for end in ends:
        text = text.replace(end, "\n")
    assert "\n".join(data) == text
