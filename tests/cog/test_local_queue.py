"""The queue with real workers."""

import asyncio
import os
import signal

import pytest

from pilotlight.errors import SetupFailedError, WorkerCrashedError
from pilotlight.runtime import KeeperOptions, LocalQueue, Output, Project, RestartPolicy, Worker
from pilotlight.types import Status
from tests.paths import PROJECTS


def on_queue(project, scenario, **options):
    loaded = Project.load(PROJECTS / project)

    async def bounded():
        async with asyncio.timeout(120):
            async with LocalQueue(lambda: Worker(loaded), KeeperOptions(**options)) as queue:
                return await scenario(queue)

    return asyncio.run(bounded())


async def started(queue, inputs, **options):
    """A running prediction, after its first output."""
    running = asyncio.Event()

    async def run():
        async for event in queue.stream(inputs, **options):
            if isinstance(event, Output):
                running.set()
        return event.prediction

    task = asyncio.create_task(run())
    await running.wait()
    return task


async def python_process(queue):
    return int((await queue.predict({"prompt": "", "count": 0, "mode": "pid"})).output[0])


def test_kill_9_in_mid_prediction_is_reported_and_the_next_one_is_served():
    async def scenario(queue):
        pid = await python_process(queue)
        running = await started(queue, {"prompt": "a", "count": 2, "pause_s": 60})
        waiting = asyncio.create_task(queue.predict({"prompt": "b", "count": 1}))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashedError, match="died during prediction") as caught:
            await running
        assert "loading the text model" in caught.value.logs
        assert (await waiting).output == ["b0 "]
        assert queue.status.starts == 2
        assert await python_process(queue) != pid

    on_queue("run_text", scenario)


def test_kill_9_while_idle_is_noticed():
    async def scenario(queue):
        os.kill(await python_process(queue), signal.SIGKILL)
        while queue.status.starts < 2:  # noqa: ASYNC110 - the state has no event for it
            await asyncio.sleep(0.01)
        assert (await queue.predict({"prompt": "b", "count": 1})).output == ["b0 "]

    on_queue("run_text", scenario, health_interval_s=0.05)


@pytest.mark.parametrize("mode", ["echo", "stubborn", "blocked"])
def test_cancel_frees_the_slot_whatever_the_predictor_does(mode):
    pause_s = 0 if mode == "blocked" else 60

    async def scenario(queue):
        running = await started(queue, {"prompt": "a", "count": 1, "mode": mode, "pause_s": pause_s}, prediction_id="c")
        assert queue.cancel("c")
        assert (await running).status is Status.CANCELED
        assert (await queue.predict({"prompt": "b", "count": 1})).output == ["b0 "]
        assert queue.status.starts == (1 if mode == "echo" else 2)

    on_queue("run_text", scenario, cancel_grace_s=0.5)


def test_more_predictions_than_slots_and_random_cancels():
    async def scenario(queue):
        tasks = {f"p{n}": asyncio.create_task(queue.predict({"wait_for": 1}, prediction_id=f"p{n}")) for n in range(50)}
        for n in range(0, 50, 7):
            await asyncio.sleep(0.002)
            queue.cancel(f"p{n}")
        done = await asyncio.gather(*tasks.values())
        finished = [prediction for n, prediction in enumerate(done) if n % 7]
        assert {prediction.status for prediction in finished} == {Status.SUCCEEDED}
        # No slot is lost: four at once still fit.
        together = await asyncio.gather(*(queue.predict({"wait_for": 4}) for _ in range(4)))
        assert {prediction.output for prediction in together} == {4}
        assert queue.status.starts == 1

    on_queue("run_async", scenario)


def test_setups_that_keep_failing_are_given_up_with_their_logs():
    async def scenario(queue):
        with pytest.raises(SetupFailedError, match=r"given up after 2 failed starts.*is not there") as caught:
            await queue.predict({"prompt": "a"})
        assert caught.value.logs == "looking for the weights"

    on_queue("run_broken", scenario, restarts=RestartPolicy(first_delay_s=0.01, give_up_after=2))
