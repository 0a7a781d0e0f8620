"""A queue in front of one worker and its keeper, on fake workers: no process and no socket."""

import asyncio

import pytest

from pilotlight.errors import (
    ConfigError,
    InputError,
    SetupFailedError,
    UsageError,
    WorkerBusyError,
    WorkerCrashedError,
    WorkerError,
    WorkerTimeoutError,
)
from pilotlight.runtime import FakeWorker, KeeperOptions, KeeperState, LocalQueue, RestartPolicy
from pilotlight.runtime.events import Completed, Output, Started
from pilotlight.types import Status
from tests.runtime.workers import Makes, runs, until

OPTIONS = KeeperOptions(
    restarts=RestartPolicy(first_delay_s=0.01, max_delay_s=0.02, give_up_after=3),
    setup_timeout_s=5,
    cancel_grace_s=0.05,
    stop_grace_s=5,
    health_interval_s=0.01,
)


async def held(queue, makes, inputs, **options):
    """A prediction that its worker holds."""
    await queue.wait_ready(120)
    worker = makes.made[-1]
    worker.hold()
    before = worker.running
    task = asyncio.create_task(queue.predict(inputs, **options))
    await until(lambda: worker.running > before)
    return task


@runs
async def test_a_prediction_streams_and_ends():
    async with LocalQueue(Makes(), OPTIONS) as queue:
        events = [event async for event in queue.stream({"a": 1, "b": 2}, prediction_id="p")]
        assert events[:3] == [Started("p"), Output(1, 0), Output(2, 1)]
        assert isinstance(events[3], Completed)
        assert (await queue.predict({"a": 1})).output == [1]
        assert (await queue.predict({"a": 1}, prediction_id="p")).id == "p"
    assert queue.status.state is KeeperState.STOPPED
    assert queue.status.starts == 1


@runs
async def test_a_worker_never_sees_more_than_its_slots():
    makes = Makes(lambda: FakeWorker(slots=3))
    async with LocalQueue(makes, OPTIONS) as queue:
        first = await held(queue, makes, {"n": 0})
        others = [asyncio.create_task(queue.predict({"n": n})) for n in range(1, 20)]
        await until(lambda: queue.waiting == 17)
        assert makes.made[0].running == 3
        makes.made[0].release()
        done = await asyncio.gather(first, *others)  # FakeWorker refuses a fourth
    assert [prediction.output for prediction in done] == [[n] for n in range(20)]
    assert [inputs["n"] for inputs in makes.made[0].served] == list(range(20))


@runs
async def test_failed_predictions_and_refused_inputs_leave_the_worker_alone():
    def answer(inputs):
        if "wrong" in inputs:
            raise ValueError("boom")
        return ["fine"]

    makes = Makes(lambda: FakeWorker(answer=answer))
    async with LocalQueue(makes, OPTIONS) as queue:
        failed = await queue.predict({"wrong": 1})
        assert (failed.status, failed.error) == (Status.FAILED, "ValueError: boom")
        with pytest.raises(UsageError, match="prediction id"):
            await queue.predict({}, prediction_id="../escape")
        assert (await queue.predict({})).output == ["fine"]
    assert len(makes.made) == 1


@runs
async def test_an_input_error_of_the_worker_reaches_its_caller_only():
    class Picky(FakeWorker):
        async def run(self, inputs, feed, **options):
            if "bad" in inputs:
                raise InputError("bad", "unknown input")
            return await super().run(inputs, feed, **options)

    makes = Makes(Picky)
    async with LocalQueue(makes, OPTIONS) as queue:
        with pytest.raises(InputError, match="bad: unknown input"):
            await queue.predict({"bad": 1})
        assert (await queue.predict({"good": 1})).output == [1]
    assert len(makes.made) == 1


@runs
async def test_a_crash_fails_what_runs_and_serves_what_waits_on_the_next_worker():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        running = await held(queue, makes, {"n": 1})
        waiting = asyncio.create_task(queue.predict({"n": 2}))
        await until(lambda: queue.waiting == 1)
        makes.made[0].crash()
        with pytest.raises(WorkerCrashedError) as caught:
            await running
        assert caught.value.logs == "the fake's log"
        assert (await waiting).output == [2]
        assert isinstance(queue.status.last_error, WorkerCrashedError)
    assert [worker.served for worker in makes.made] == [[{"n": 1}], [{"n": 2}]]
    assert all(worker.stopped for worker in makes.made)


@runs
async def test_a_crash_while_idle_is_noticed():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        await queue.wait_ready(120)
        makes.made[0].crash()
        await until(lambda: len(makes.made) == 2)
        assert (await queue.predict({"n": 1})).output == [1]


@runs
async def test_a_worker_that_stays_unhealthy_is_replaced():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        await queue.wait_ready(120)
        makes.made[0].become_unhealthy("the engine is dead")
        await until(lambda: len(makes.made) == 2)
        assert "the engine is dead" in str(queue.status.last_error)


@runs
async def test_a_prediction_may_hold_the_interpreter_for_longer_than_a_healthcheck():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        task = await held(queue, makes, {"n": 1})
        makes.made[0].become_unhealthy("healthcheck timed out")
        await asyncio.sleep(OPTIONS.health_interval_s * OPTIONS.unhealthy_checks * 5)
        makes.made[0].release()
        assert (await task).output == [1]
        await until(lambda: len(makes.made) == 2)  # idle, the same answer is no excuse


@runs
async def test_setups_that_keep_failing_are_given_up_with_the_logs():
    makes = Makes(lambda: FakeWorker(setup_error=SetupFailedError("no weights", logs="looking")))
    async with LocalQueue(makes, OPTIONS) as queue:
        for _ in range(2):  # one that waited, one that comes later
            with pytest.raises(SetupFailedError, match="given up after 3 failed starts in a row: no weights") as caught:
                await queue.predict({})
            assert caught.value.logs == "looking"
        with pytest.raises(SetupFailedError):
            await queue.wait_ready(120)
        assert queue.status.state is KeeperState.CRASH_LOOPING
    assert len(makes.made) == 3
    assert all(worker.stopped for worker in makes.made)


@runs
async def test_a_setup_that_fails_once_is_tried_again():
    makes = Makes(lambda: FakeWorker(setup_error=WorkerTimeoutError("slow")), FakeWorker)
    async with LocalQueue(makes, OPTIONS) as queue:
        assert (await queue.predict({"n": 1})).output == [1]
    assert len(makes.made) == 2


@runs
async def test_a_project_that_cannot_be_served_is_not_tried_again():
    class Unusable(FakeWorker):
        async def start(self):
            raise ConfigError("cog.yaml: no predict")

    makes = Makes(Unusable)
    async with LocalQueue(makes, OPTIONS) as queue:
        with pytest.raises(ConfigError, match="no predict"):
            await queue.predict({})
    assert len(makes.made) == 1


@runs
async def test_the_delay_before_the_next_start_grows_with_the_failures():
    slow = KeeperOptions(restarts=RestartPolicy(first_delay_s=3600, max_delay_s=3600), health_interval_s=0.01)
    makes = Makes(lambda: FakeWorker(setup_error=SetupFailedError("no weights")))
    async with LocalQueue(makes, slow) as queue:
        await until(lambda: queue.status.state is KeeperState.WAITING)
        assert len(makes.made) == 2  # the first failure is answered at once, the second after an hour
        with pytest.raises(WorkerTimeoutError, match="it is waiting"):
            await queue.wait_ready(0.01)


@runs
async def test_cancel_while_waiting_and_while_running():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        running = await held(queue, makes, {"n": 1}, prediction_id="running")
        waiting = asyncio.create_task(queue.predict({"n": 2}, prediction_id="waiting"))
        await until(lambda: queue.waiting == 1)
        assert queue.cancel("waiting")
        assert (await waiting).status is Status.CANCELED
        assert not running.done()
        assert queue.cancel("running")
        assert queue.cancel("running")  # asking twice changes nothing
        assert (await running).status is Status.CANCELED
        assert not queue.cancel("running")
        assert not queue.cancel("never heard of")
    assert makes.made[0].served == [{"n": 1}]
    assert len(makes.made) == 1


@runs
async def test_a_cancelled_prediction_that_keeps_its_slot_costs_the_worker_its_life():
    makes = Makes(lambda: FakeWorker(heeds_cancel=False, slots=2))
    async with LocalQueue(makes, OPTIONS) as queue:
        stuck = await held(queue, makes, {"n": 1}, prediction_id="stuck")
        neighbor = await held(queue, makes, {"n": 2})
        assert queue.cancel("stuck")
        assert (await stuck).status is Status.CANCELED
        with pytest.raises(WorkerCrashedError, match="kept its slot"):
            await neighbor
        assert (await queue.predict({"n": 3})).output == [3]
    assert len(makes.made) == 2
    assert makes.made[0].stopped


@runs
async def test_a_caller_that_leaves_cancels_its_prediction():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        leaving = await held(queue, makes, {"n": 1})
        waiting = asyncio.create_task(queue.predict({"n": 2}))
        await until(lambda: queue.waiting == 1)
        leaving.cancel()
        await until(lambda: {"n": 2} in makes.made[0].served)
        makes.made[0].release()
        assert (await waiting).output == [2]
    assert len(makes.made) == 1


@runs
async def test_a_caller_that_leaves_while_waiting_is_skipped():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        running = await held(queue, makes, {"n": 1})
        leaving = asyncio.create_task(queue.predict({"n": 2}))
        await until(lambda: queue.waiting == 1)
        leaving.cancel()
        await until(lambda: queue.waiting == 0)
        makes.made[0].release()
        await running
        assert (await queue.predict({"n": 3})).output == [3]
    assert makes.made[0].served == [{"n": 1}, {"n": 3}]


@runs
async def test_a_full_queue_and_an_id_that_is_taken_are_refused():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS, max_waiting=1) as queue:
        running = await held(queue, makes, {"n": 1}, prediction_id="same")
        waiting = asyncio.create_task(queue.predict({"n": 2}))
        await until(lambda: queue.waiting == 1)
        with pytest.raises(UsageError, match="already running"):
            await queue.predict({}, prediction_id="same")
        with pytest.raises(WorkerBusyError, match="1 predictions are waiting"):
            await queue.predict({})
        makes.made[0].release()
        await asyncio.gather(running, waiting)


@runs
async def test_leaving_lets_what_runs_end_and_refuses_the_rest():
    makes = Makes()
    async with LocalQueue(makes, OPTIONS) as queue:
        running = await held(queue, makes, {"n": 1})
        waiting = asyncio.create_task(queue.predict({"n": 2}))
        await until(lambda: queue.waiting == 1)
        assert not await queue.drain(0.01)
        with pytest.raises(WorkerError, match="still waiting"):
            await waiting
        with pytest.raises(WorkerError, match="takes no more"):
            await queue.predict({})
        makes.made[0].release()
    assert (await running).output == [1]
    assert makes.made[0].stopped
    with pytest.raises(WorkerError, match="not running"):
        await queue.predict({})


@runs
async def test_leaving_does_not_wait_for_longer_than_the_grace():
    makes = Makes(lambda: FakeWorker(heeds_cancel=False))
    async with LocalQueue(makes, KeeperOptions(stop_grace_s=0.01)) as queue:
        running = await held(queue, makes, {"n": 1})
    with pytest.raises(WorkerCrashedError, match="stopping"):
        await running
    assert makes.made[0].stopped


@runs
async def test_a_bug_in_the_factory_reaches_whoever_waits_and_whoever_leaves():
    def broken():
        raise ZeroDivisionError

    queue = LocalQueue(broken, OPTIONS)
    await queue.__aenter__()
    with pytest.raises(WorkerError, match="not running"):
        await queue.predict({})
    with pytest.raises(ZeroDivisionError):
        await queue.__aexit__(None, None, None)
