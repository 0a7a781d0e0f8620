"""What the client adds to its targets: deadlines, cancels, hedges, files; with a target in memory."""

import asyncio

import pytest

from pilotlight.client import AsyncClient, Timeouts
from pilotlight.errors import (
    ConfigError,
    DeadlineError,
    InputError,
    PredictionFailedError,
    TargetBusyError,
    TargetError,
    TargetUnavailableError,
    UsageError,
)
from pilotlight.types import Status
from tests.client.fakes import FakeConnection, LostJob


def run(scenario, **options):
    async def whole():
        connection = FakeConnection(**options)
        async with asyncio.timeout(30), AsyncClient(connection) as client:
            await scenario(client, connection)
        assert connection.closed
        assert connection.worker.running == 0

    asyncio.run(whole())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.001)


def test_a_caller_who_leaves_cancels():
    async def scenario(client, connection):
        connection.worker.hold()
        running = asyncio.create_task(client.run({"a": 1}))
        await until(lambda: connection.worker.running == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert connection.worker.running == 0

    run(scenario)


def test_a_caller_who_leaves_while_it_is_being_accepted_cancels_too():
    async def scenario(client, connection):
        connection.accepting.clear()
        connection.worker.hold()
        running = asyncio.create_task(client.run({"a": 1}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        connection.accepting.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert connection.worker.running == 0

    run(scenario)


@pytest.mark.parametrize(
    ("timeouts", "phase"),
    [
        (Timeouts(total_s=0.02), "total"),
        (Timeouts(predict_s=0.02), "predict"),
        (Timeouts(total_s=9, predict_s=0.02, wait_s=5), "predict"),
        (Timeouts(total_s=0.02, predict_s=9), "total"),
    ],
)
def test_each_deadline_says_which_it_was(timeouts, phase):
    async def scenario(client, connection):
        connection.worker.hold()
        client.timeouts = timeouts
        with pytest.raises(DeadlineError, match=r"0\.02 s, and has been cancelled") as caught:
            await client.run({"a": 1})
        assert caught.value.phase == phase

    run(scenario)


def test_the_target_is_told_the_deadline():
    async def scenario(client, connection):
        await client.run({"a": 1})
        await client.run({"a": 1}, timeout_s=7)
        assert connection.deadlines == [600.0, 7]

    run(scenario)


def test_a_handle_outlives_whoever_waits_for_it():
    async def scenario(client, connection):
        connection.worker.hold()
        handle = await client.submit({"a": 1})
        waiting = asyncio.create_task(handle.wait())
        await until(lambda: connection.worker.running == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert connection.worker.running == 1
        connection.worker.release()
        assert (await handle.wait()).output == [1]

    run(scenario)


def test_a_cancel_may_come_at_any_moment():
    async def scenario(client, connection):
        connection.worker.hold()
        for moments in range(6):
            handle = await client.submit({"a": 1})
            for _ in range(moments):
                await asyncio.sleep(0)
            await handle.cancel()
            assert (await handle.wait()).status is Status.CANCELED

    run(scenario)


def test_what_cannot_be_followed_is_cancelled_when_it_is_left():
    jobs = []

    class Losing(FakeConnection):
        async def submit(self, inputs, *, total_s):
            jobs.append(LostJob())
            return jobs[-1]

    async def scenario():
        async with AsyncClient(Losing()) as client:
            with pytest.raises(TargetUnavailableError, match="heard"):
                await client.run({"a": 1})
            handle = await client.submit({"a": 1})
            with pytest.raises(TargetUnavailableError, match="heard"):
                await handle.wait()
        # Who holds a handle may yet take it up again; who ran it never will.
        assert [job.cancels for job in jobs] == [1, 0]

    asyncio.run(scenario())


def test_a_handle_is_told_that_its_client_was_closed():
    async def scenario():
        connection = FakeConnection()
        connection.worker.hold()
        async with AsyncClient(connection) as client:
            handle = await client.submit({"a": 1})
            waiting = asyncio.create_task(handle.wait())
            await until(lambda: connection.worker.running == 1)
        for late in (waiting, handle.wait()):
            with pytest.raises(TargetError, match="closed"):
                await late
        with pytest.raises(TargetError, match="closed"):
            [chunk async for chunk in handle]

    asyncio.run(scenario())


def test_a_target_that_does_not_accept_in_time_is_a_deadline():
    async def scenario(client, connection):
        connection.accepting.clear()
        client.timeouts = Timeouts(answer_s=0.01)
        with pytest.raises(DeadlineError, match=r"not accepted within 0\.02 s"):
            await client.run({"a": 1}, timeout_s=0.02)

    run(scenario)


def test_a_value_without_a_form_in_json_is_named_even_unchecked():
    async def scenario():
        async with AsyncClient(FakeConnection(), check=False) as client:
            with pytest.raises(InputError, match="b"):
                await client.run({"a": 1, "b": float("nan")})

    asyncio.run(scenario())


def test_a_hedge_that_is_refused_leaves_the_first():
    async def scenario(client, connection):
        connection.worker.hold()
        running = asyncio.create_task(client.run({"a": 1}, hedge_after_s=0.01))
        await until(lambda: connection.worker.running == 1)
        connection.down = TargetBusyError("full")
        await until(lambda: connection.refused == 1)
        connection.worker.release()
        assert (await running).output == [1]

    run(scenario)


def test_a_hedge_is_sent_only_when_the_first_is_slow():
    async def scenario(client, connection):
        assert (await client.run({"a": 1}, hedge_after_s=20)).output == [1]
        assert len(connection.seen) == 1
        connection.worker.hold()
        running = asyncio.create_task(client.run({"a": 2}, hedge_after_s=0.01))
        await until(lambda: connection.worker.running == 2)
        connection.worker.release()
        assert (await running).output == [2]
        assert len(connection.seen) == 3

    run(scenario)


def test_a_hedge_of_failures_is_a_failure():
    def broken(inputs):
        raise ValueError("no")

    async def scenario(client, connection):
        connection.worker.hold()
        with pytest.raises(PredictionFailedError, match="no"):
            await client.run({"a": 2}, hedge_after_s=0.0)

    run(scenario, answer=broken)


def test_files_become_urls(tmp_path):
    small, large = tmp_path / "small.txt", tmp_path / "large.png"
    small.write_text("hi")
    large.write_bytes(b"x" * 300_000)

    async def scenario(client, connection):
        await client.run({"one": small, "many": [large, b"raw"], "none": None, "text": "t"})
        assert connection.seen == [
            {
                "one": "data:text/plain;base64,aGk=",
                "many": [
                    "https://files.example/large.png?300000&image/png",
                    "data:application/octet-stream;base64,cmF3",
                ],
                "text": "t",
            }
        ]
        with pytest.raises(InputError, match=r"one: cannot read .*missing"):
            await client.run({"one": tmp_path / "missing"})

    run(scenario)


def test_prices_need_hardware_that_the_home_has():
    with pytest.raises(ConfigError, match="runpod has no hardware 'tpu'"):
        AsyncClient("runpod:abc", token="t", hardware="tpu")


@pytest.mark.parametrize(
    ("target", "variable"), [("replicate:a/b", "REPLICATE_API_TOKEN"), ("runpod:abc", "RUNPOD_API_KEY")]
)
def test_a_missing_token_is_named(target, variable, monkeypatch):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UsageError, match=variable):
        AsyncClient(target)


def test_a_folder_without_a_project_is_named(tmp_path):
    with pytest.raises(Exception, match=r"no cog\.yaml"):
        AsyncClient(f"project:{tmp_path}")
