"""The blocking front: where it may be used from, and what its end leaves behind; with a target in memory."""

import asyncio
import gc
import threading

import pytest

from pilotlight.client import AsyncClient, Client
from pilotlight.errors import TargetError, UsageError
from tests.client.fakes import FakeConnection
from tests.cog.gateway_process import wait_until


def test_it_works_inside_a_running_loop():
    async def scenario():
        with Client(FakeConnection()) as client:
            return client.run({"a": 1}).output

    assert asyncio.run(scenario()) == [1]


def test_a_stream_that_is_left_open_ends_with_the_client():
    connection = FakeConnection()
    with Client(connection) as client:
        stream = client.stream({"a": 1, "b": 2})
        assert next(stream) == 1
        connection.worker.hold()
        mapped = client.map({"a": number} for number in range(9))
        held = client.stream({"a": 3})
        handle = client.submit({"a": 4})
        wait_until(lambda: connection.worker.running == 1)
    assert connection.worker.running == 0
    for items in (stream, mapped, held):
        with pytest.raises((StopIteration, UsageError)):
            next(items)
    with pytest.raises(UsageError, match="client is closed"):
        handle.wait()
    del stream, mapped, held
    gc.collect()


def test_a_thread_that_waits_is_told_that_the_client_was_closed_and_its_prediction_is_cancelled():
    connection = FakeConnection()
    told = []

    def read(items):
        try:
            list(items)
        except UsageError as error:
            told.append(str(error))

    with Client(connection) as client:
        connection.worker.hold()
        threads = [threading.Thread(target=read, args=(items,)) for items in (client.stream({"a": 1}), waits(client))]
        for thread in threads:
            thread.start()
        wait_until(lambda: connection.worker.running == 2)
    for thread in threads:
        thread.join(120)
    assert told == ["the client is closed"] * 2
    assert connection.worker.running == 0


def waits(client):
    yield client.run({"a": 2})


def test_it_can_be_closed_twice_and_not_used_after():
    client = Client(FakeConnection())
    client.close()
    client.close()
    for call in (lambda: client.run({"a": 1}), lambda: list(client.stream({"a": 1})), client.schema):
        with pytest.raises(UsageError, match="client is closed"):
            call()


def test_inputs_of_map_that_ask_the_same_client_are_told_so():
    with Client(FakeConnection()) as client:

        def inputs():
            yield {"a": client.run({"a": 1}).output}

        with pytest.raises(UsageError, match="use another client"):
            list(client.map(inputs()))


def test_a_closed_client_of_an_api_says_so():
    async def scenario():
        async with AsyncClient("gateway:http://127.0.0.1:1") as client:
            pass
        with pytest.raises(TargetError, match="client is closed"):
            await client.attach("x")

    asyncio.run(scenario())
