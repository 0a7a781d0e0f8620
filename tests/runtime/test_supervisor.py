"""What a supervisor decides, on fake workers: no process, no socket, and a clock that never moves."""

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
from pilotlight.runtime import FakeWorker, RestartPolicy, State, Supervisor, SupervisorOptions
from pilotlight.runtime.events import Completed, Output, Started
from pilotlight.types import Status

OPTIONS = SupervisorOptions(
    restarts=RestartPolicy(first_delay_s=0.01, max_delay_s=0.02, park_after=3),
    setup_timeout_s=5,
    cancel_grace_s=0.05,
    stop_grace_s=5,
    health_interval_s=0.01,
)


class Makes:
    """A factory of the given workers, in order; the last one is made again and again."""

    def __init__(self, *makers):
        self.made = []
        self._makers = list(makers) or [FakeWorker]

    def __call__(self):
        make = self._makers.pop(0) if len(self._makers) > 1 else self._makers[0]
        self.made.append(make())
        return self.made[-1]


def runs(scenario):
    """Runs an asynchronous test that cannot hang."""

    def test():
        async def bounded():
            async with asyncio.timeout(20):
                await scenario()

        asyncio.run(bounded())

    test.__name__ = scenario.__name__
    return test


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a fake has no event for each thing that a test waits for
        await asyncio.sleep(0.001)


async def held(supervisor, makes, inputs, **options):
    """A prediction that its worker holds."""
    await supervisor.wait_ready(5)
    worker = makes.made[-1]
    worker.hold()
    before = worker.running
    task = asyncio.create_task(supervisor.predict(inputs, **options))
    await until(lambda: worker.running > before)
    return task


@runs
async def test_a_prediction_streams_and_ends():
    async with Supervisor(Makes(), OPTIONS) as supervisor:
        events = [event async for event in supervisor.stream({"a": 1, "b": 2}, prediction_id="p")]
        assert events[:3] == [Started("p"), Output(1, 0), Output(2, 1)]
        assert isinstance(events[3], Completed)
        assert (await supervisor.predict({"a": 1})).output == [1]
        assert (await supervisor.predict({"a": 1}, prediction_id="p")).id == "p"
    assert supervisor.status.state is State.STOPPED
    assert supervisor.status.starts == 1


@runs
async def test_a_worker_never_sees_more_than_its_slots():
    makes = Makes(lambda: FakeWorker(slots=3))
    async with Supervisor(makes, OPTIONS) as supervisor:
        first = await held(supervisor, makes, {"n": 0})
        others = [asyncio.create_task(supervisor.predict({"n": n})) for n in range(1, 20)]
        await until(lambda: supervisor.status.waiting == 17)
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
    async with Supervisor(makes, OPTIONS) as supervisor:
        failed = await supervisor.predict({"wrong": 1})
        assert (failed.status, failed.error) == (Status.FAILED, "ValueError: boom")
        with pytest.raises(UsageError, match="prediction id"):
            await supervisor.predict({}, prediction_id="../escape")
        assert (await supervisor.predict({})).output == ["fine"]
    assert len(makes.made) == 1


@runs
async def test_an_input_error_of_the_worker_reaches_its_caller_only():
    class Picky(FakeWorker):
        async def stream(self, inputs, **options):
            if "bad" in inputs:
                raise InputError("bad", "unknown input")
            async for event in super().stream(inputs, **options):
                yield event

    makes = Makes(Picky)
    async with Supervisor(makes, OPTIONS) as supervisor:
        with pytest.raises(InputError, match="bad: unknown input"):
            await supervisor.predict({"bad": 1})
        assert (await supervisor.predict({"good": 1})).output == [1]
    assert len(makes.made) == 1


@runs
async def test_a_crash_fails_what_runs_and_serves_what_waits_on_the_next_worker():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        running = await held(supervisor, makes, {"n": 1})
        waiting = asyncio.create_task(supervisor.predict({"n": 2}))
        await until(lambda: supervisor.status.waiting == 1)
        makes.made[0].crash()
        with pytest.raises(WorkerCrashedError) as caught:
            await running
        assert caught.value.logs == "the fake's log"
        assert (await waiting).output == [2]
        assert isinstance(supervisor.status.last_error, WorkerCrashedError)
    assert [worker.served for worker in makes.made] == [[{"n": 1}], [{"n": 2}]]
    assert all(worker.stopped for worker in makes.made)


@runs
async def test_a_crash_while_idle_is_noticed():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        await supervisor.wait_ready(5)
        makes.made[0].crash()
        await until(lambda: len(makes.made) == 2)
        assert (await supervisor.predict({"n": 1})).output == [1]


@runs
async def test_a_worker_that_stays_unhealthy_is_replaced():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        await supervisor.wait_ready(5)
        makes.made[0].become_unhealthy("the engine is dead")
        await until(lambda: len(makes.made) == 2)
        assert "the engine is dead" in str(supervisor.status.last_error)


@runs
async def test_a_prediction_may_hold_the_interpreter_for_longer_than_a_healthcheck():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        task = await held(supervisor, makes, {"n": 1})
        makes.made[0].become_unhealthy("healthcheck timed out")
        await asyncio.sleep(OPTIONS.health_interval_s * OPTIONS.unhealthy_checks * 5)
        makes.made[0].release()
        assert (await task).output == [1]
        await until(lambda: len(makes.made) == 2)  # idle, the same answer is no excuse


@runs
async def test_setups_that_keep_failing_park_it_with_the_logs():
    makes = Makes(lambda: FakeWorker(setup_error=SetupFailedError("no weights", logs="looking")))
    async with Supervisor(makes, OPTIONS) as supervisor:
        for _ in range(2):  # one that waited, one that comes later
            with pytest.raises(SetupFailedError, match="given up after 3 failed starts in a row: no weights") as caught:
                await supervisor.predict({})
            assert caught.value.logs == "looking"
        with pytest.raises(SetupFailedError):
            await supervisor.wait_ready(5)
        assert supervisor.status.state is State.PARKED
    assert len(makes.made) == 3
    assert all(worker.stopped for worker in makes.made)


@runs
async def test_a_setup_that_fails_once_is_tried_again():
    makes = Makes(lambda: FakeWorker(setup_error=WorkerTimeoutError("slow")), FakeWorker)
    async with Supervisor(makes, OPTIONS) as supervisor:
        assert (await supervisor.predict({"n": 1})).output == [1]
    assert len(makes.made) == 2


@runs
async def test_a_project_that_cannot_be_served_is_not_tried_again():
    class Unusable(FakeWorker):
        async def start(self):
            raise ConfigError("cog.yaml: no predict")

    makes = Makes(Unusable)
    async with Supervisor(makes, OPTIONS) as supervisor:
        with pytest.raises(ConfigError, match="no predict"):
            await supervisor.predict({})
    assert len(makes.made) == 1


@runs
async def test_the_delay_before_the_next_start_grows_with_the_failures():
    slow = SupervisorOptions(restarts=RestartPolicy(first_delay_s=3600, max_delay_s=3600), health_interval_s=0.01)
    makes = Makes(lambda: FakeWorker(setup_error=SetupFailedError("no weights")))
    async with Supervisor(makes, slow) as supervisor:
        await until(lambda: supervisor.status.state is State.WAITING)
        assert len(makes.made) == 2  # the first failure is answered at once, the second after an hour
        with pytest.raises(WorkerTimeoutError, match="it is waiting"):
            await supervisor.wait_ready(0.01)


@runs
async def test_cancel_while_waiting_and_while_running():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        running = await held(supervisor, makes, {"n": 1}, prediction_id="running")
        waiting = asyncio.create_task(supervisor.predict({"n": 2}, prediction_id="waiting"))
        await until(lambda: supervisor.status.waiting == 1)
        assert supervisor.cancel("waiting")
        assert (await waiting).status is Status.CANCELED
        assert not running.done()
        assert supervisor.cancel("running")
        assert supervisor.cancel("running")  # asking twice changes nothing
        assert (await running).status is Status.CANCELED
        assert not supervisor.cancel("running")
        assert not supervisor.cancel("never heard of")
    assert makes.made[0].served == [{"n": 1}]
    assert len(makes.made) == 1


@runs
async def test_a_cancelled_prediction_that_keeps_its_slot_costs_the_worker_its_life():
    makes = Makes(lambda: FakeWorker(heeds_cancel=False, slots=2))
    async with Supervisor(makes, OPTIONS) as supervisor:
        stuck = await held(supervisor, makes, {"n": 1}, prediction_id="stuck")
        neighbor = await held(supervisor, makes, {"n": 2})
        assert supervisor.cancel("stuck")
        assert (await stuck).status is Status.CANCELED
        with pytest.raises(WorkerCrashedError, match="kept its slot"):
            await neighbor
        assert (await supervisor.predict({"n": 3})).output == [3]
    assert len(makes.made) == 2
    assert makes.made[0].stopped


@runs
async def test_a_caller_that_leaves_cancels_its_prediction():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        leaving = await held(supervisor, makes, {"n": 1})
        waiting = asyncio.create_task(supervisor.predict({"n": 2}))
        await until(lambda: supervisor.status.waiting == 1)
        leaving.cancel()
        await until(lambda: {"n": 2} in makes.made[0].served)
        makes.made[0].release()
        assert (await waiting).output == [2]
    assert len(makes.made) == 1


@runs
async def test_a_caller_that_leaves_while_waiting_is_skipped():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        running = await held(supervisor, makes, {"n": 1})
        leaving = asyncio.create_task(supervisor.predict({"n": 2}))
        await until(lambda: supervisor.status.waiting == 1)
        leaving.cancel()
        await until(lambda: supervisor.status.waiting == 0)
        makes.made[0].release()
        await running
        assert (await supervisor.predict({"n": 3})).output == [3]
    assert makes.made[0].served == [{"n": 1}, {"n": 3}]


@runs
async def test_a_full_queue_and_an_id_that_is_taken_are_refused():
    makes = Makes()
    async with Supervisor(makes, SupervisorOptions(max_waiting=1, health_interval_s=0.01)) as supervisor:
        running = await held(supervisor, makes, {"n": 1}, prediction_id="same")
        waiting = asyncio.create_task(supervisor.predict({"n": 2}))
        await until(lambda: supervisor.status.waiting == 1)
        with pytest.raises(UsageError, match="already running"):
            await supervisor.predict({}, prediction_id="same")
        with pytest.raises(WorkerBusyError, match="1 predictions are waiting"):
            await supervisor.predict({})
        makes.made[0].release()
        await asyncio.gather(running, waiting)


@runs
async def test_leaving_lets_what_runs_end_and_refuses_the_rest():
    makes = Makes()
    async with Supervisor(makes, OPTIONS) as supervisor:
        running = await held(supervisor, makes, {"n": 1})
        waiting = asyncio.create_task(supervisor.predict({"n": 2}))
        await until(lambda: supervisor.status.waiting == 1)
        assert not await supervisor.drain(0.01)
        with pytest.raises(WorkerError, match="still waiting"):
            await waiting
        with pytest.raises(WorkerError, match="takes no more"):
            await supervisor.predict({})
        makes.made[0].release()
    assert (await running).output == [1]
    assert makes.made[0].stopped
    with pytest.raises(WorkerError, match="not running"):
        await supervisor.predict({})


@runs
async def test_leaving_does_not_wait_for_longer_than_the_grace():
    makes = Makes(lambda: FakeWorker(heeds_cancel=False))
    async with Supervisor(makes, SupervisorOptions(stop_grace_s=0.01)) as supervisor:
        running = await held(supervisor, makes, {"n": 1})
    with pytest.raises(WorkerCrashedError, match="stopping"):
        await running
    assert makes.made[0].stopped


@runs
async def test_a_bug_in_the_factory_reaches_whoever_waits_and_whoever_leaves():
    def broken():
        raise ZeroDivisionError

    supervisor = Supervisor(broken, OPTIONS)
    await supervisor.__aenter__()
    with pytest.raises(WorkerError, match="not running"):
        await supervisor.predict({})
    with pytest.raises(ZeroDivisionError):
        await supervisor.__aexit__(None, None, None)
