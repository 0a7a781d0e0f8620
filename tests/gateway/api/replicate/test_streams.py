"""Streams that are taken up again."""

import asyncio

import pytest

from pilotlight.gateway.api.replicate.streams import events_of, read_position
from pilotlight.gateway.prediction import Status
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.runtime import Log, Output
from tests.gateway.made import made_record

STARTED = made_record(status=Status.PROCESSING, started_at=101.0)
ENDED = made_record(status=Status.SUCCEEDED, output=["a", "b", "c"], logs="one\ntwo\n")


def running():
    active = ActivePrediction(STARTED)
    for event in (Log("stdout", "one\n"), Output("a", 0), Output("b", 1), Log("stdout", "two\n"), Output("c", 2)):
        active.feed(event)
    active.update(ENDED)
    return active


def read(record, active, event_id=None):
    async def whole():
        return [block async for block in events_of(record, active, read_position(event_id))]

    blocks = [block.decode().rstrip("\n").split("\n") for block in asyncio.run(whole())]
    return [(name[7:], number[4:], "\n".join(one[6:] for one in data)) for name, number, *data in blocks]


def test_the_id_of_an_event_says_how_far_its_reader_is():
    assert read(ENDED, running()) == [
        ("logs", "100:0.4", "one\n"),
        ("output", "100:1.4", "a"),
        ("output", "100:2.4", "b"),
        ("logs", "100:2.8", "two\n"),
        ("output", "100:3.8", "c"),
        ("done", "100:3.8", "{}"),
    ]


@pytest.mark.parametrize(
    ("event_id", "live", "ended"),
    [
        ("100:1.4", [("output", "b"), ("logs", "two\n"), ("output", "c")], [("logs", "two\n"), *("bc")]),
        ("100:3.8", [], []),
        ("100:2.6", [("logs", "o\n"), ("output", "c")], None),
    ],
)
def test_a_reader_gets_what_follows_the_event_that_it_names(event_id, live, ended):
    assert [(name, data) for name, _, data in read(ENDED, running(), event_id)] == [*live, ("done", "{}")]
    if ended is not None:
        expected = [("output", one) if isinstance(one, str) else one for one in ended]
        assert [(name, data) for name, _, data in read(ENDED, None, event_id)] == [*expected, ("done", "{}")]


@pytest.mark.parametrize("event_id", [None, "", "x", "1:2", "100:1.x"])
def test_what_is_no_id_of_ours_starts_at_the_beginning(event_id):
    assert read(ENDED, None, event_id) == read(ENDED, None)
