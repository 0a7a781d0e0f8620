"""What a caller can rely on, the same at every platform: predictions at once, followed, left and taken up."""

import asyncio
import threading

import pytest

from pilotlight.client import AsyncClient, Timeouts
from pilotlight.errors import (
    DeadlineError,
    InputError,
    PredictionCanceledError,
    PredictionFailedError,
    TargetMissingError,
    UsageError,
)
from pilotlight.types import Status

SLOTS = 8
WAIT = {"do": "wait", "ratio": 1}
# For a platform that may not hear a cancel right after the start: whatever becomes of it, its slot is free soon.
BRIEF = {"do": "wait", "ratio": 0.02}


def all_free(platform, name):
    """Whether every slot is: each of eight predictions goes on only with the seven others inside."""
    inputs = [{"do": "meet", "text": name, "count": SLOTS}] * SLOTS
    return [one.status for one in platform.client.map(inputs, concurrency=SLOTS)] == [Status.SUCCEEDED] * SLOTS


def test_as_many_run_at_once_as_there_are_slots(values):
    assert all_free(values, "at once")


def test_more_than_there_are_slots_wait_and_come_in_order(values):
    inputs = [{"do": "text", "text": f"{number}"} for number in range(2 * SLOTS)]
    outputs = [one.output for one in values.client.map(inputs, concurrency=2 * SLOTS)]
    assert outputs == [f"{number}" for number in range(2 * SLOTS)]


def test_map_reads_no_further_than_it_needs(values):
    read = []

    def inputs():
        for number in range(6):
            read.append(number)
            yield {"do": "text", "text": f"{number}"}

    results = values.client.map(inputs(), concurrency=3)
    assert next(results).output == "0"
    assert len(read) <= 4
    assert [one.output for one in results] == ["1", "2", "3", "4", "5"]


def test_map_gives_errors_in_their_places_where_asked_to(values):
    inputs = [{"do": "text", "text": "a"}, {"do": "raise", "text": "boom"}, {"x": 1}, {"do": "text", "text": "b"}]
    first, failed, wrong, last = values.client.map(inputs, concurrency=2, return_errors=True)
    assert (first.output, last.output) == ("a", "b")
    assert isinstance(failed, PredictionFailedError)
    assert isinstance(wrong, InputError)


def test_map_ends_with_the_first_error_and_leaves_nothing_running(values):
    other = WAIT if values.can.hears_early_cancels else BRIEF
    with pytest.raises(PredictionFailedError, match="boom"):
        list(values.client.map([{"do": "raise", "text": "boom"}, other, other, other], concurrency=4))
    assert all_free(values, "after a map")


def test_what_is_printed_at_once_is_not_mixed(values):
    inputs = [{"do": "log", "text": f"{number}: ", "count": 50} for number in range(4)]
    for number, result in enumerate(values.client.map(inputs, concurrency=4)):
        expected = "".join(f"{number}: {line}\n" for line in range(50))
        assert result.logs == ("" if values.can.logs == "no" else expected)


def test_threads_may_share_a_client(values):
    outputs = {}

    def one(number):
        outputs[number] = values.client.run({"do": "text", "text": f"{number}"}).output

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outputs == {number: f"{number}" for number in range(6)}


def test_the_async_client_is_the_same(values):
    async def scenario():
        async with AsyncClient(values.running.target, **values.running.settings) as client:
            meeting = {"do": "meet", "text": "async", "count": 3}
            results = await asyncio.gather(*(client.run(meeting) for _ in range(3)))
            assert [one.status for one in results] == [Status.SUCCEEDED] * 3
            assert [chunk async for chunk in client.stream({"do": "text", "text": "a"})] == ["a"]

    asyncio.run(scenario())


def test_a_cancel_may_come_before_the_start(values):
    handle = values.client.submit(BRIEF)
    handle.cancel()
    assert (handle.wait().status, handle.status()) == (Status.CANCELED, Status.CANCELED)
    with pytest.raises(PredictionCanceledError):
        handle.wait().raise_for_status()


def test_a_cancel_may_come_twice(values):
    handle = values.client.submit(BRIEF)
    handle.cancel()
    handle.cancel()
    assert handle.wait().status is Status.CANCELED


def test_a_cancel_after_the_end_changes_nothing(values):
    handle = values.client.submit({"do": "text", "text": "done"})
    assert handle.wait().output == "done"
    handle.cancel()
    assert (handle.status(), handle.wait().output) == (Status.SUCCEEDED, "done")


def test_cancels_free_every_slot(values):
    handles = [values.client.submit(WAIT) for _ in range(SLOTS - 1)]
    assert values.client.run({"do": "value"}).status is Status.SUCCEEDED  # they have begun before it
    for handle in handles:
        handle.cancel()
    assert [handle.wait().status for handle in handles] == [Status.CANCELED] * (SLOTS - 1)
    assert all_free(values, "after cancels")


def test_a_deadline_ends_it_at_the_target(values):
    with pytest.raises(DeadlineError, match=r"within 0\.6 s") as caught:
        values.client.run(WAIT, timeout_s=0.6)
    assert caught.value.phase == "total"
    assert all_free(values, "after a deadline")


def test_the_deadline_of_the_run_is_one_of_its_own(values):
    async def scenario():
        async with AsyncClient(values.running.target, **values.running.settings) as client:
            await client.run({"do": "value"})
            client.timeouts = Timeouts(predict_s=0.3, wait_s=60)
            with pytest.raises(DeadlineError, match=r"did not end after it began within 0\.3 s") as caught:
                await client.run(WAIT)
            assert caught.value.phase == "predict"

    asyncio.run(scenario())


def test_a_hedge_takes_the_first_answer_and_cancels_the_other(values):
    # The first one waits for the second.
    result = values.client.run({"do": "meet", "text": "hedge", "count": 2}, hedge_after_s=0.05)
    assert result.status is Status.SUCCEEDED
    assert all_free(values, "after a hedge")


def test_a_prediction_can_be_taken_up_by_another_client(values):
    if not values.can.attaches:
        with pytest.raises(UsageError, match="does not keep predictions"):
            values.client.attach("x")
        return
    handle = values.client.submit({"do": "meet", "text": "taken up", "count": 2})
    with values.another() as other:
        taken = other.attach(handle.id)
        other.run({"do": "meet", "text": "taken up", "count": 2})
        assert (taken.wait().status, taken.id) == (Status.SUCCEEDED, handle.id)
        assert handle.wait().status is Status.SUCCEEDED
        with pytest.raises(TargetMissingError, match="404"):
            other.attach("nothing")


def test_what_a_closed_client_leaves_goes_on_only_where_it_can_be_taken_up(values):
    with values.another() as other:
        handle = other.submit({"do": "meet", "text": "left", "count": 2})
        if not values.can.attaches:
            assert handle.status() is not Status.CANCELED
    with pytest.raises(UsageError, match="closed"):
        handle.wait()
    if values.can.attaches:
        taken = values.client.attach(handle.id)
        values.client.run({"do": "meet", "text": "left", "count": 2})
        assert taken.wait().status is Status.SUCCEEDED
    assert all_free(values, "after a client")
