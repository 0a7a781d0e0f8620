"""The worker against the real Cog server."""

import asyncio
import os
import signal
import sys
from contextlib import aclosing

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
from pilotlight.runtime import (
    Completed,
    Log,
    Metric,
    Output,
    Project,
    ServerOptions,
    Started,
    Worker,
)
from pilotlight.types import Status
from tests.paths import PROJECTS

READY_S = 120.0


def on_worker(project, scenario, **options):
    """Runs ``scenario(worker)`` on a ready worker, and stops it."""

    async def bounded():
        async with asyncio.timeout(120), Worker(Project.load(PROJECTS / project), ServerOptions(**options)) as worker:
            await worker.wait_ready(READY_S)
            return await scenario(worker)

    return asyncio.run(bounded())


async def first_output(stream):
    async for event in stream:
        if isinstance(event, Output):
            return event.chunk
    raise AssertionError("no output")


def test_events_in_their_order():
    async def scenario(worker):
        return [event async for event in worker.stream({"prompt": "a", "count": 2}, prediction_id="mine")]

    started, *said, first, second, completed = on_worker("run_text", scenario)
    assert started == Started("mine")
    assert Log("stdout", "mode echo\n") in said
    assert Log("stderr", "to stderr\n") in said
    assert Metric("count", 2, "replace") in said
    assert (first, second) == (Output("a0 ", 0), Output("a1 ", 1))
    assert isinstance(completed, Completed)
    prediction = completed.prediction
    assert (prediction.id, prediction.status, prediction.output) == ("mine", Status.SUCCEEDED, ["a0 ", "a1 "])
    assert prediction.logs == "mode echo\nto stderr\n"
    assert prediction.metrics["count"] == 2


def test_predictions_that_fail_and_the_environment():
    async def scenario(worker):
        failed = await worker.predict({"prompt": "a", "count": 1, "mode": "raise"})
        assert (failed.status, failed.output, failed.logs) == (Status.FAILED, ["a0 "], "mode raise\nto stderr\n")
        assert "RuntimeError: boom" in failed.error
        # The words of a crash, without one.
        assert (await worker.predict({"prompt": "a", "mode": "crash"})).status is Status.FAILED
        greeted = await worker.predict({"prompt": "", "count": 0, "mode": "greeting", "pause_s": None})
        assert greeted.output == ["hello from cog.yaml"]
        asked = await worker.predict({"prompt": "", "count": 0, "mode": "context"}, context={"who": "me"})
        assert asked.output == ["me"]
        health = await worker.health()
        assert health.ready
        assert health.setup_completed_at > health.setup_started_at
        assert "loading the text model" in worker.logs

    on_worker("run_text", scenario)


BAD = {
    "missing": ({}, "prompt: Field required"),
    "wrong type": ({"prompt": 3}, "prompt: 3 is not of type"),
    "two wrong": ({"prompt": "a", "count": "x", "pause_s": "y"}, "count: .*; pause_s: "),
    "too small": ({"prompt": "a", "count": -1}, "count: -1 is less than the minimum of 0"),
    "too large": ({"prompt": "a", "count": 10**30}, "count: "),
    "null": ({"prompt": None}, "prompt: Field required"),
    "lone surrogate": ({"prompt": "a\udc80"}, r"prompt: holds U\+DC80"),
    "not a number": ({"prompt": "a", "pause_s": float("nan")}, "pause_s: cannot be sent"),
    "over the limit of a body": ({"prompt": "a" * 105_000_000}, "prompt: the request has"),
    "long and wrong": ({"prompt": "a", "count": "9" * 10_000_000}, "count: .*is not of type"),
}
ODD_PROMPTS = {
    "empty": "",
    "control characters": "\0\1\x07\x1b[31m\x7f\u2028\u2029\x85",
    "line ends": "\r\n\n\r data: x\n\nevent: completed\n",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈 é",
    "10 MB": "é" * 5_000_000,
}


def test_bad_and_odd_inputs_leave_the_server_serving():
    async def scenario(worker):
        for name, (inputs, message) in BAD.items():
            with pytest.raises(InputError, match=message) as caught:
                await worker.predict(inputs)
            assert len(str(caught.value)) < 1000, name
        for name, prompt in ODD_PROMPTS.items():
            # As on Replicate, what the predictor has no input for is ignored.
            assert (await worker.predict({"prompt": prompt, "count": 1, "cuont": 5})).output == [f"{prompt}0 "], name
        with pytest.raises(UsageError, match="prediction id"):
            await worker.predict({"prompt": "a"}, prediction_id="../../escape")

    on_worker("run_text", scenario)


def test_every_event_of_a_fast_stream_arrives_however_slow_the_reader():
    async def scenario(worker):
        async with aclosing(worker.stream({"prompt": "", "count": 20_000})) as events:
            await first_output(events)
            await asyncio.sleep(0.5)  # far more than the 1,024 events that the server would keep
            rest = [event.chunk async for event in events if isinstance(event, Output)]
        assert rest == [f"{index} " for index in range(1, 20_000)]

    on_worker("run_text", scenario)


def test_cancel_and_leaving_early():
    long = {"prompt": "a", "count": 1000, "pause_s": 30}

    async def scenario(worker):
        async with aclosing(worker.stream(long, prediction_id="c")) as events:
            await first_output(events)
            with pytest.raises(UsageError, match="already running"):
                await worker.predict({"prompt": "a"}, prediction_id="c")
            with pytest.raises(WorkerBusyError):
                await worker.predict({"prompt": "a"}, busy_timeout_s=0.05)
            assert await worker.cancel("c")
            *_, completed = [event async for event in events]
        assert completed.prediction.status is Status.CANCELED
        assert completed.prediction.output == ["a0 "]
        # The server forgets it a moment after its answer.
        async with asyncio.timeout(120):
            while await worker.cancel("c"):  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)
        async with aclosing(worker.stream(long)) as events:
            await first_output(events)
        # Left: the server has to give the slot up by itself.
        assert (await worker.predict({"prompt": "b"}, busy_timeout_s=120)).status is Status.SUCCEEDED

    on_worker("run_text", scenario)


def test_concurrent_predictions():
    async def scenario(worker):
        assert worker.slots == 4
        return await asyncio.gather(*(worker.predict({"wait_for": 4}) for _ in range(4)))

    assert [prediction.output for prediction in on_worker("run_async", scenario)] == [4, 4, 4, 4]


def test_outputs_of_every_kind():
    file = "data:text/plain;base64,dmFsdWU="
    kinds = {
        "text": "value",
        "list": ["value", "value"],
        "object": {"text": "value", "length": 5},
        "number": 5,
        "nothing": None,
        "file": file,
        "files": [file, file],
    }

    async def scenario(worker):
        for kind, output in kinds.items():
            assert (await worker.predict({"kind": kind})).output == output
        given = await worker.predict({"kind": "file", "document": "data:text/plain;base64,aGVsbG8="})
        assert given.output == "data:text/plain;base64,aGVsbG8="

    on_worker("run_values", scenario)


def test_the_python_process_dies_in_mid_prediction():
    async def scenario(worker):
        async with aclosing(worker.stream({"prompt": "a", "mode": "die", "count": 1, "pause_s": 0.2})) as events:
            assert await first_output(events) == "a0 "
            with pytest.raises(WorkerCrashedError, match="died during prediction") as caught:
                await anext(events)
        assert "loading the text model" in caught.value.logs
        assert (await worker.health()).lost
        with pytest.raises(WorkerCrashedError, match="is gone"):
            await worker.predict({"prompt": "a"})

    on_worker("run_text", scenario)


def test_the_whole_server_dies_in_mid_prediction():
    async def scenario(worker):
        async with aclosing(worker.stream({"prompt": "a", "pause_s": 30})) as events:
            await first_output(events)
            os.kill(worker.pid, signal.SIGKILL)
            with pytest.raises(WorkerCrashedError, match="connection to the Cog server broke"):
                await anext(events)
        with pytest.raises(WorkerCrashedError, match=r"killed by signal 9|connection"):
            await worker.health()

    on_worker("run_text", scenario)


def test_a_setup_that_raises_shows_why():
    with pytest.raises(SetupFailedError, match=r"FileNotFoundError: weights/model\.safetensors is not there") as caught:
        on_worker("run_broken", lambda worker: worker.health())
    assert caught.value.logs == "looking for the weights"


def test_a_setup_that_takes_too_long():
    async def scenario():
        async with Worker(Project.load(PROJECTS / "run_text")) as worker:
            await worker.wait_ready(0.001)

    with pytest.raises(WorkerTimeoutError, match=r"did not finish within 0\.001 s"):
        asyncio.run(scenario())


def test_drain_lets_predictions_end_and_takes_no_more():
    async def scenario(worker):
        async with aclosing(worker.stream({"prompt": "a", "count": 2, "pause_s": 0.3})) as events:
            await first_output(events)
            assert not await worker.drain(0.01)
            with pytest.raises(WorkerError, match="takes no more"):
                await worker.predict({"prompt": "a"})
            draining = asyncio.create_task(worker.drain(30))
            *_, completed = [event async for event in events]
        assert completed.prediction.status is Status.SUCCEEDED
        assert await draining

    on_worker("run_text", scenario)


def test_stop_kills_a_predictor_that_is_blocked_after_the_grace():
    async def scenario(worker):
        async with aclosing(worker.stream({"prompt": "a", "count": 1, "mode": "blocked"})) as events:
            await first_output(events)
            await worker.stop(0.2)
            with pytest.raises(WorkerCrashedError):
                await anext(events)
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)  # ended and collected

    on_worker("run_text", scenario)


def test_a_port_that_is_taken():
    async def scenario():
        taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        async with taken, Worker(Project.load(PROJECTS / "run_text"), ServerOptions(port=port)) as worker:
            await worker.wait_ready(READY_S)

    with pytest.raises(WorkerCrashedError, match="ended with status 1 before it was ready") as caught:
        asyncio.run(scenario())
    assert "Address already in use" in caught.value.logs


def test_an_interpreter_that_cog_could_not_start(tmp_path):
    lone = tmp_path / "python3.11"
    lone.symlink_to(sys.executable)
    with pytest.raises(ConfigError, match="has no `python`"):
        on_worker("run_text", lambda worker: worker.health(), python=lone)


def test_a_worker_that_was_not_started():
    async def scenario():
        await Worker(Project.load(PROJECTS / "run_text")).health()

    with pytest.raises(WorkerError, match="has not been started"):
        asyncio.run(scenario())
