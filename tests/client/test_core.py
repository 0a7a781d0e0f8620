"""What the client adds to its targets: deadlines, cancels, hedges, files; with a target in memory."""

import asyncio
import io

import pytest

from pilotlight.client import AsyncClient, Timeouts
from pilotlight.errors import (
    ConfigError,
    DeadlineError,
    InputError,
    PredictionCanceledError,
    PredictionFailedError,
    TargetBusyError,
    TargetError,
    TargetUnavailableError,
    UsageError,
)
from pilotlight.runtime import Completed, Started
from pilotlight.types import Prediction, Status
from tests.client.fakes import FakeConnection, LostJob


def run(scenario, **options):
    async def whole():
        connection = FakeConnection(**options)
        async with asyncio.timeout(120), AsyncClient(connection) as client:
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


def test_closing_a_client_cancels_what_it_runs_and_not_what_was_submitted():
    canceled = []

    class Remote(LostJob):
        """A prediction that lives without its connection."""

        def __init__(self, name):
            self.id = name
            self.left = asyncio.Event()

        async def events(self):
            yield Started(self.id)
            await self.left.wait()
            yield Completed(Prediction(self.id, Status.CANCELED))

        async def cancel(self):
            canceled.append(self.id)
            self.left.set()

    class Connection(FakeConnection):
        async def submit(self, inputs, *, total_s):
            self.asked += 1
            return Remote(inputs["a"])

    async def scenario():
        connection = Connection()
        async with AsyncClient(connection) as client:
            await client.submit({"a": "submitted"})
            running = asyncio.create_task(client.run({"a": "run"}))
            await until(lambda: connection.asked == 2)
        with pytest.raises(PredictionCanceledError):
            await running
        assert canceled == ["run"]

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


def test_a_hedge_that_is_not_accepted_does_not_hold_up_the_first():
    async def scenario(client, connection):
        connection.worker.hold()
        connection.last_accepted = 1
        running = asyncio.create_task(client.run({"a": 1}, hedge_after_s=0.01))
        await until(lambda: connection.worker.running == 1)
        await until(lambda: connection.asked == 2)
        connection.worker.release()
        assert (await running).output == [1]
        connection.accepting.set()

    run(scenario)


def test_a_hedge_has_no_more_time_than_the_caller():
    async def scenario(client, connection):
        connection.worker.hold()
        with pytest.raises(DeadlineError):
            await client.run({"a": 1}, timeout_s=1.0, hedge_after_s=0.1)
        assert connection.deadlines == [1.0, pytest.approx(0.9)]

    run(scenario)


def test_a_caller_who_leaves_a_hedge_cancels_both():
    async def scenario(client, connection):
        connection.worker.hold()
        running = asyncio.create_task(client.run({"a": 1}, hedge_after_s=0.0))
        await until(lambda: connection.worker.running == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: connection.worker.running == 0)

    run(scenario)


def test_a_hedge_reads_an_open_file_once():
    async def scenario(client, connection):
        connection.worker.hold()
        running = asyncio.create_task(client.run({"a": io.BytesIO(b"hi")}, hedge_after_s=0.0))
        await until(lambda: connection.worker.running == 2)
        connection.worker.release()
        await running
        assert connection.seen == [{"a": "data:application/octet-stream;base64,aGk="}] * 2

    run(scenario)


def test_a_hedge_of_failures_is_a_failure():
    def broken(inputs):
        raise ValueError("no")

    async def scenario(client, connection):
        connection.worker.hold()
        with pytest.raises(PredictionFailedError, match="no"):
            await client.run({"a": 2}, hedge_after_s=0.0)

    run(scenario, answer=broken)


class DeafJob(LostJob):
    """A prediction that goes on, and cannot be cancelled."""

    async def events(self):
        yield Started(self.id)
        await asyncio.Event().wait()

    async def cancel(self):
        self.cancels += 1
        raise TargetUnavailableError("nobody listens")


class Deaf(FakeConnection):
    async def submit(self, inputs, *, total_s):
        self.asked += 1
        await self.accepting.wait()
        self.job = DeafJob()
        return self.job


def test_a_deadline_says_when_the_target_could_not_be_told():
    async def scenario():
        connection = Deaf()
        async with AsyncClient(connection) as client:
            with pytest.raises(DeadlineError, match=r"could not be asked to cancel it \(nobody listens\)"):
                await client.run({"a": 1}, timeout_s=0.05)
        assert connection.job.cancels >= 1

    asyncio.run(scenario())


def test_a_cancel_that_fails_takes_nobodys_own_cancellation_away():
    async def scenario():
        connection = Deaf()
        async with AsyncClient(connection) as client:
            connection.accepting.clear()
            running = asyncio.create_task(client.run({"a": 1}, timeout_s=0.0))
            await until(lambda: connection.asked == 1)
            connection.accepting.set()
            with pytest.raises(DeadlineError, match="not accepted"):
                await running
        assert connection.job.cancels == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "kind", ["runpod:abc", "replicate:a/b", "gateway:http://127.0.0.1:1", "vertex:projects/p/locations/l/endpoints/e"]
)
def test_a_token_or_an_address_that_is_none_is_named(kind):
    async def scenario():
        with pytest.raises(UsageError, match="characters that no token has"):
            AsyncClient(kind, token="t\u00f6ken")
        with pytest.raises(UsageError, match="url 'localhost:80': expected the address"):
            AsyncClient(kind, token="token", url="localhost:80")
        await AsyncClient(kind, token="token\n").close()

    asyncio.run(scenario())


def test_a_target_without_a_control_plane_says_nothing_of_how_it_stands():
    async def scenario(client, connection):
        assert await client.state() is None

    run(scenario)


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
