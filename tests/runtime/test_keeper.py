"""A keeper without a queue, on fake workers. What it does about failures is tested through ``LocalQueue``."""

import asyncio
from dataclasses import replace

import pytest

from pilotlight.errors import SetupFailedError, UsageError, WorkerBusyError, WorkerCrashedError, WorkerError
from pilotlight.runtime import FakeWorker, Keeper, KeeperOptions, KeeperState, Output, RestartPolicy, Started
from pilotlight.runtime.events import discard
from pilotlight.types import Status
from tests.runtime.workers import Makes, runs, until

OPTIONS = KeeperOptions(
    restarts=RestartPolicy(first_delay_s=0.01, max_delay_s=0.02, give_up_after=2),
    cancel_grace_s=0.05,
    health_interval_s=0.01,
)


class Late(FakeWorker):
    """Is ready when the test says so."""

    def __init__(self):
        super().__init__()
        self.may_start = asyncio.Event()

    async def start(self):
        await self.may_start.wait()


def start(keeper, prediction_id, feed=discard, **inputs):
    return asyncio.create_task(keeper.run(inputs, feed, prediction_id=prediction_id))


@runs
async def test_events_are_fed_as_they_come_and_the_end_is_returned():
    makes = Makes()
    async with Keeper(makes, OPTIONS) as keeper:
        await keeper.wait_ready(120)
        makes.made[0].hold()
        fed = []
        running = start(keeper, "p", fed.append, a=1, b=2)
        await until(lambda: len(fed) == 3)
        assert fed == [Started("p"), Output(1, 0), Output(2, 1)]
        assert not running.done()
        makes.made[0].release()
        assert (await running).output == [1, 2]
        assert len(fed) == 3


@runs
async def test_every_state_is_told_at_once():
    states = []
    makes = Makes(FakeWorker, lambda: FakeWorker(setup_error=SetupFailedError("no weights")))
    async with Keeper(makes, OPTIONS, on_change=states.append, clock=lambda: 0.0) as keeper:
        await keeper.wait_ready(120)
        makes.made[0].crash()
        await keeper.wait_final()
        assert keeper.status.state is KeeperState.CRASH_LOOPING
        assert "no weights" in str(keeper.final_error)
    assert states == ["starting", "ready", "starting", "waiting", "starting", "crash-looping"]


@runs
async def test_it_has_no_slots_but_those_of_a_ready_worker():
    makes = Makes(Late, lambda: FakeWorker(slots=3))
    async with Keeper(makes, OPTIONS) as keeper:
        await until(lambda: makes.made)
        assert (keeper.ready, keeper.slots) == (False, 0)
        makes.made[0].may_start.set()
        await keeper.wait_ready(120)
        assert (keeper.ready, keeper.slots) == (True, 1)
        makes.made[0].crash()
        await until(lambda: keeper.slots == 3)
    assert (keeper.ready, keeper.slots) == (False, 0)


@runs
async def test_more_predictions_than_slots_and_an_id_that_is_taken_are_refused():
    makes = Makes(lambda: FakeWorker(slots=2))
    async with Keeper(makes, OPTIONS) as keeper:
        await keeper.wait_ready(120)
        makes.made[0].hold()
        running = [start(keeper, "a", n=1), start(keeper, "b", n=2)]
        await until(lambda: makes.made[0].running == 2)
        with pytest.raises(UsageError, match="already running"):
            await start(keeper, "a")
        with pytest.raises(WorkerBusyError, match="all slots of the worker are taken"):
            await start(keeper, "c")
        makes.made[0].release()
        assert [one.output for one in await asyncio.gather(*running)] == [[1], [2]]
        assert keeper.status.starts == 1  # too many are the caller's mistake, and no reason to replace the worker


@runs
async def test_a_prediction_that_comes_before_the_worker_waits_for_it():
    makes = Makes(Late)
    async with Keeper(makes, OPTIONS) as keeper:
        waiting, unwanted = start(keeper, "p", n=1), start(keeper, "q", n=2)
        await until(lambda: makes.made)
        assert keeper.status.running == 0
        assert keeper.cancel("q")
        assert (await unwanted).status is Status.CANCELED
        makes.made[0].may_start.set()
        assert (await waiting).output == [1]
        assert not keeper.cancel("p")
    assert makes.made[0].served == [{"n": 1}]


class Interrupted(FakeWorker):
    """As Cog's server where a cancel arrives before the predictor's first line."""

    async def run(self, inputs, feed, **options):
        ended = await super().run(inputs, feed, **options)
        return replace(ended, status=Status.FAILED, error=inputs["error"])


@runs
async def test_a_cancel_that_cogs_server_calls_a_failure_is_a_cancel():
    makes = Makes(Interrupted)
    async with Keeper(makes, OPTIONS) as keeper:
        await keeper.wait_ready(120)
        for error, expected in (
            ("Prediction failed: Failed to submit coroutine: CancelationException: ", Status.CANCELED),
            ("Input validation error: Invalid JSON input: CancelationException: ", Status.CANCELED),
            ("Prediction failed: ValueError: no cleanup", Status.FAILED),
        ):
            makes.made[0].hold()
            running = start(keeper, "p", error=error)
            await until(lambda: makes.made[0].running == 1)
            assert keeper.cancel("p")
            ended = await running
            assert (ended.status, ended.error) == (expected, None if expected is Status.CANCELED else error)
        makes.made[0].release()
        assert (await start(keeper, "q", error="CancelationException: its own")).status is Status.FAILED


@runs
async def test_a_prediction_that_comes_after_a_crash_waits_for_the_next_worker():
    makes = Makes()
    async with Keeper(makes, OPTIONS) as keeper:
        await keeper.wait_ready(120)
        makes.made[0].hold()
        running = start(keeper, "p", n=1)
        await until(lambda: makes.made[0].running == 1)
        makes.made[0].crash()
        with pytest.raises(WorkerCrashedError):
            await running
        assert not keeper.ready
        assert (await start(keeper, "q", n=2)).output == [2]
    assert [worker.served for worker in makes.made] == [[{"n": 1}], [{"n": 2}]]


@runs
async def test_a_prediction_that_waits_for_a_worker_hears_that_there_will_be_none():
    makes = Makes(lambda: FakeWorker(setup_error=SetupFailedError("no weights", logs="looking")))
    async with Keeper(makes, OPTIONS) as keeper:
        with pytest.raises(SetupFailedError, match="given up after 2 failed starts in a row: no weights") as caught:
            await start(keeper, "p")
        assert caught.value.logs == "looking"


@runs
async def test_stopping_fails_what_waits_and_refuses_the_rest():
    makes = Makes(Late)
    async with Keeper(makes, OPTIONS) as keeper:
        waiting = start(keeper, "p")
        await until(lambda: makes.made)
        assert await keeper.drain(60)
        with pytest.raises(WorkerError, match="still waiting for it"):
            await waiting
        with pytest.raises(WorkerError, match="takes no more predictions"):
            await start(keeper, "q")
    with pytest.raises(WorkerError, match="was stopped, or not started"):
        raise keeper.final_error


@runs
async def test_the_end_of_the_keeper_kills_what_does_not_end_in_time_and_its_caller_hears_why():
    makes = Makes(lambda: FakeWorker(heeds_cancel=False))
    async with Keeper(makes, KeeperOptions(stop_grace_s=0.01)) as keeper:
        await keeper.wait_ready(120)
        makes.made[0].hold()
        running = start(keeper, "p")
        await until(lambda: makes.made[0].running == 1)
    with pytest.raises(WorkerCrashedError, match="the worker was killed: it is stopping"):
        await running
    assert makes.made[0].stopped
