"""Splits over targets in memory."""

import asyncio

import pytest

from pilotlight.client import AsyncClient, SplitClient
from pilotlight.client.split import MAX_SHADOWS
from pilotlight.errors import PredictionFailedError, TargetBusyError, TargetUnavailableError
from pilotlight.traffic import Traffic
from tests.client.fakes import FakeConnection

UNREACHED = TargetUnavailableError("refused", sent=False)


def run(traffic, scenario, **downs):
    async def whole():
        names = {*traffic.weights, *traffic.shadows, *traffic.fallback}
        targets = {name: FakeConnection(down=downs.get(name)) for name in names}
        clients = {name: AsyncClient(target) for name, target in targets.items()}
        async with asyncio.timeout(30), SplitClient(traffic, clients=clients) as client:
            await scenario(client, targets)
        assert all(target.closed for target in targets.values())

    asyncio.run(whole())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.001)


def test_a_key_stays_where_it_is():
    async def scenario(client, targets):
        for _ in range(5):
            await client.run({"a": 1}, key="user")
        assert sorted(len(target.seen) for target in targets.values()) == [0, 5]

    run(Traffic({"x": 1, "y": 1}), scenario)


def test_without_keys_all_targets_get_some():
    async def scenario(client, targets):
        for _ in range(60):
            await client.run({"a": 1})
        assert min(len(target.seen) for target in targets.values()) > 5

    run(Traffic({"x": 1, "y": 1}), scenario)


@pytest.mark.parametrize("trouble", [UNREACHED, TargetBusyError("full")])
def test_a_target_that_cannot_take_it_is_passed_over(trouble):
    async def scenario(client, targets):
        assert (await client.run({"a": 1})).output == [1]
        assert [chunk async for chunk in client.stream({"a": 2})] == [2]
        assert [len(targets[name].seen) for name in "xyz"] == [0, 0, 2]

    run(Traffic({"x": 1}, fallback=("y", "z")), scenario, x=trouble, y=trouble)


def test_what_may_have_begun_is_never_run_elsewhere():
    async def scenario(client, targets):
        with pytest.raises(TargetUnavailableError, match="reset"):
            await client.run({"a": 1})
        with pytest.raises(TargetUnavailableError, match="reset"):
            [chunk async for chunk in client.stream({"a": 1})]
        assert targets["y"].seen == []

    run(Traffic({"x": 1}, fallback=("y",)), scenario, x=TargetUnavailableError("reset"))


def test_the_last_fallback_says_what_is_wrong():
    async def scenario(client, targets):
        with pytest.raises(TargetBusyError, match="also full"):
            await client.run({"a": 1})

    run(Traffic({"x": 1}, fallback=("y",)), scenario, x=UNREACHED, y=TargetBusyError("also full"))


def test_a_prediction_that_fails_is_an_answer():
    async def scenario(client, targets):
        targets["x"].worker._answer = None  # what it calls for its answer
        with pytest.raises(PredictionFailedError):
            await client.run({"a": 1})
        assert targets["y"].seen == []

    run(Traffic({"x": 1}, fallback=("y",)), scenario)


def test_shadows_neither_slow_nor_fail_anybody():
    async def scenario(client, targets):
        targets["slow"].worker.hold()
        for _ in range(MAX_SHADOWS + 5):
            assert (await client.run({"a": 1})).output == [1]
        await until(lambda: client.shadows.failed > 0)
        counts = client.shadows
        assert targets["slow"].worker.running <= MAX_SHADOWS
        assert counts.sent + counts.dropped == 2 * (MAX_SHADOWS + 5)
        assert counts.dropped > 0
        assert [one["a"] for one in targets["slow"].seen] == [1] * len(targets["slow"].seen)

    run(Traffic({"x": 1}, shadows={"slow": 1, "broken": 1}), scenario, broken=UNREACHED)
