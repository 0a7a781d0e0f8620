import asyncio
import gc

import numpy as np
import pytest

from pilotlight.bench.load.play import Played, play
from pilotlight.bench.load.steps import LoadStep
from tests.bench.load.servers import run


def opened(times, **options):
    return LoadStep(float(times[-1]), rate=1.0, schedule=np.asarray(times, dtype=float), **options)


def played(step, send, looks=None):
    found = Played()
    run(play(step, send, found, (looks if looks is not None else []).append))
    return found


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.001)


async def answer_at_once(record):
    record.end("succeeded")


def test_an_open_loop_sends_at_the_times_of_the_schedule_whatever_the_answers_do():
    times = [0.0, 0.01, 0.01, 0.05, 0.1]
    going = asyncio.Event()

    async def wait_for_the_last(record):
        waiting.append(record)
        if len(waiting) == len(times):
            going.set()
        await going.wait()  # a client that waited for an answer before the next request would wait forever
        record.end("succeeded")

    waiting = []
    found = played(opened(times), wait_for_the_last)
    assert [record.intended - found.began for record in found.records] == pytest.approx(times)
    assert [record.outcome for record in found.records] == ["succeeded"] * 5


def test_what_comes_while_too_many_are_in_flight_is_not_sent():
    sent, found = [], Played()

    async def send(record):
        sent.append(record)
        await until(lambda: len(found.records) == 4)
        record.end("succeeded")

    run(play(opened([0.0, 0.001, 0.002, 0.003], max_in_flight=2), send, found, lambda _: None))
    assert [record.outcome for record in found.records] == ["succeeded", "succeeded", "not_sent", "not_sent"]
    assert len(sent) == 2
    assert found.records[2].message == "2 were in flight"


def test_a_closed_loop_has_one_request_of_each_client_in_flight():
    present, most = 0, []

    async def send(record):
        nonlocal present
        present += 1
        most.append(present)
        await asyncio.sleep(0.001)
        present -= 1
        record.end("succeeded")

    found = played(LoadStep(None, requests=50, clients=4), send)
    assert (len(found.records), max(most)) == (50, 4)


def test_a_closed_loop_ends_with_its_time():
    async def send(record):
        await asyncio.sleep(0.01)
        record.end("succeeded")

    found = played(LoadStep(0.2, clients=2), send)
    assert all(record.intended - found.began < 0.2 for record in found.records)
    assert found.stopped - found.began >= 0.2


def test_a_client_that_is_refused_pauses():
    async def send(record):
        record.end("rejected")

    found = played(LoadStep(0.5, clients=1), send)
    assert 1 <= len(found.records) <= 51


def test_the_generator_looks_at_itself():
    looks = []

    async def send(record):
        await until(lambda: len(looks) > 3)
        record.end("succeeded")

    found = played(opened([0.0, 0.01]), send, looks)
    assert found.generator.wall_s >= looks[-1] > 0
    assert found.generator.cpu_s > 0
    assert len(found.generator.lags_s) == len(looks) > 3
    assert looks == sorted(looks)
    assert gc.isenabled()


def test_cancelled_it_ends_all_requests_and_keeps_what_there_is():
    ended = []

    async def send(record):
        if record is found.records[0]:
            return record.end("succeeded")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(record)

    async def scenario():
        task = asyncio.create_task(play(opened([0.0, 0.01, 0.02, 60.0]), send, found, lambda _: None))
        await until(lambda: len(found.records) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    found = Played()
    run(scenario())
    assert [record.outcome for record in found.records] == ["succeeded", "interrupted", "interrupted"]
    assert len(ended) == 2
    assert found.generator is not None
