"""Our predictor behind the real Cog server: streams, many at once, cancels in time, survives bad input and kill -9.

This is the test that holds ``pilotlight/adapters/coglet.py`` to the pinned coglet.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import httpx2
import psutil
import pytest

from pilotlight.config.variables import TEXT_MODELS
from pilotlight.errors import InputError, WorkerCrashedError
from pilotlight.runtime import Completed, HealthStatus, LocalQueue, Output, Project, ServerOptions, Worker
from pilotlight.types import Prediction, Status
from tests.paths import ROOT

LONG = {"prompt": "def main(args):", "max_tokens": 900, "min_tokens": 900}


class Loop:
    """An event loop on a thread of its own, so that one worker serves the tests of this file."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, Any], timeout_s: float = 120.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


# What the demo model is served with where nothing is asked for, and where exactness is.
SERVED = {
    "openvino": {"PILOTLIGHT_MODEL": TEXT_MODELS[-1], "PILOTLIGHT_DEVICE": "cpu"},
    "torch": {
        "PILOTLIGHT_MODEL": TEXT_MODELS[-1],
        "PILOTLIGHT_DEVICE": "cpu",
        "PILOTLIGHT_DTYPE": "float32",
        "OMP_NUM_THREADS": "1",  # a step of a model this small waits for its other threads where others are busy
    },
}


@pytest.fixture(scope="module", params=SERVED)
def worker(request: pytest.FixtureRequest, loop: Loop) -> Iterator[Worker]:
    worker = Worker(Project.load(ROOT), ServerOptions(env=SERVED[request.param]))

    async def start() -> None:
        await worker.start()
        await worker.wait_ready(120)

    loop.run(start())
    yield worker
    loop.run(worker.stop())


async def stream(worker: Worker, inputs: dict[str, Any], **kwargs: Any) -> tuple[list[str], Prediction]:
    chunks: list[str] = []
    async with aclosing(worker.stream(inputs, **kwargs)) as events:
        async for event in events:
            if isinstance(event, Output):
                chunks.append(event.chunk)
            elif isinstance(event, Completed):
                return chunks, event.prediction
    raise AssertionError("the stream ended without a completed event")


def test_it_streams_token_by_token_and_reports(loop: Loop, worker: Worker) -> None:
    chunks, prediction = loop.run(
        stream(worker, {"prompt": "def main(args):", "max_tokens": 24, "min_tokens": 24, "seed": 0})
    )
    assert prediction.status is Status.SUCCEEDED
    assert len(chunks) > 12  # a token is a chunk, but for half characters
    assert "".join(prediction.output) == "".join(chunks)
    assert prediction.metrics["output_token_count"] == 24
    assert prediction.metrics["finish_reason"] == "length"
    assert prediction.metrics["seed"] == 0


def test_a_seed_repeats_itself_and_zero_is_one(loop: Loop, worker: Worker) -> None:
    inputs = {"prompt": "class Reader:", "max_tokens": 30, "seed": 0}
    first, second = (loop.run(stream(worker, inputs))[0] for _ in range(2))
    assert first == second
    assert loop.run(stream(worker, {**inputs, "seed": 1}))[0] != first


def test_sixteen_at_once_all_advance_together(loop: Loop, worker: Worker) -> None:
    async def crowd() -> None:
        started: set[int] = set()
        finished: set[int] = set()
        together = asyncio.Event()

        async def one(i: int) -> Status:
            inputs = {"prompt": f"def f{i}(self):", "max_tokens": 120, "min_tokens": 120, "seed": i}
            async with aclosing(worker.stream(inputs)) as events:
                async for event in events:
                    if isinstance(event, Output):
                        started.add(i)
                        if len(started - finished) >= 12:  # the first stage may have ended one or two by itself
                            together.set()
                    elif isinstance(event, Completed):
                        finished.add(i)
                        return event.prediction.status
            raise AssertionError("no end")

        assert set(await asyncio.gather(*map(one, range(16)))) == {Status.SUCCEEDED}
        assert together.is_set(), "most ended before the others began: they were not served together"

    loop.run(crowd())


def test_cancel_is_delivered_at_once_and_the_slot_is_free(loop: Loop, worker: Worker) -> None:
    async def cancel_after_some_output(name: str) -> Prediction | None:
        """Return how it ended, or ``None`` if it ended before the request to cancel arrived."""
        arrived = True
        async with aclosing(worker.stream(LONG, prediction_id=name, busy_timeout_s=120)) as events:
            async for event in events:
                if isinstance(event, Output) and event.index == 5:
                    arrived = await worker.cancel(name)
                if isinstance(event, Completed):
                    return event.prediction if arrived else None
        raise AssertionError("no end")

    async def until_one_arrives() -> Prediction:
        ends = [await cancel_after_some_output(f"victim-{i}") for i in range(10)]  # on a busy machine, some come late
        return next(end for end in ends if end is not None and end.status is Status.CANCELED)

    prediction = loop.run(asyncio.wait_for(until_one_arrives(), 300.0))
    assert prediction.metrics["finish_reason"] == "canceled"
    assert 5 < prediction.metrics["output_token_count"] < 900  # it stopped before the end


def test_fifty_cancels_at_random_moments_among_others_lose_no_slot(loop: Loop, worker: Worker) -> None:
    async def run() -> None:
        rng = random.Random(4)

        async def doomed(i: int) -> Prediction:
            after = rng.randrange(0, 40)
            async with aclosing(
                worker.stream({**LONG, "seed": i}, prediction_id=f"doomed-{i}", busy_timeout_s=120)
            ) as events:
                async for event in events:
                    if isinstance(event, Output) and event.index >= after:
                        after = 10**9
                        await worker.cancel(f"doomed-{i}")
                    elif isinstance(event, Completed):
                        return event.prediction
            raise AssertionError("no end")

        async def kept(i: int) -> tuple[str, Status]:
            inputs = {"prompt": "one = ", "max_tokens": 12, "temperature": 0}
            chunks, prediction = await stream(worker, inputs, busy_timeout_s=120)
            return "".join(chunks), prediction.status

        kept_ends, doomed_ends = await asyncio.gather(
            asyncio.gather(*map(kept, range(20))), asyncio.gather(*map(doomed, range(50)))
        )
        # The engine may be faster than this test reads: a cancel that comes after the last token changes nothing.
        for end in doomed_ends:
            if end.status is not Status.CANCELED:
                assert (end.status, end.metrics["output_token_count"]) == (Status.SUCCEEDED, LONG["max_tokens"])
        assert {status for _, status in kept_ends} == {Status.SUCCEEDED}
        assert len({text for text, _ in kept_ends}) == 1
        # No slot is lost: as many as there are can run at once again.
        ends = await asyncio.gather(
            *(stream(worker, {"prompt": "x", "max_tokens": 4, "min_tokens": 4}) for _ in range(worker.slots))
        )
        assert {prediction.status for _, prediction in ends} == {Status.SUCCEEDED}

    loop.run(run(), timeout_s=170.0)


def test_a_dropped_connection_frees_the_slot(loop: Loop, worker: Worker) -> None:
    async def drop() -> None:
        for _ in range(worker.slots + 3):  # more than there are slots
            async with aclosing(worker.stream(LONG, busy_timeout_s=120)) as events:
                async for event in events:
                    if isinstance(event, Output):
                        break

    loop.run(drop())


NUMBERS = {
    "max_tokens": (0, 2_000_000, "many"),
    "max_new_tokens": (0, 2_000_000, [1]),
    "min_tokens": (-1, 2_000_000, "few"),
    "temperature": (-0.1, 5.1, "hot"),
    "top_p": (-0.1, 1.1, "all"),
    "top_k": (-1, None, "best"),
    "repetition_penalty": (0.0, 10.1, "none"),
    "presence_penalty": (-2.1, 2.1, "none"),
    "frequency_penalty": (-2.1, 2.1, "none"),
    "seed": (-1, None, "lucky"),
}
TEXTS = ("prompt", "system_prompt", "messages", "prompt_template", "stop_sequences")
BAD = [
    *((name, value) for name, values in NUMBERS.items() for value in values if value is not None),
    *((name, value) for name in TEXTS for value in (7, ["x"], {"x": 1})),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_type_or_value_is_refused_by_name(worker: Worker, name: str, value: Any) -> None:
    response = httpx2.post(f"{worker.url}/predictions", json={"input": {"prompt": "x", name: value}}, timeout=120)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "input", name]


@pytest.mark.parametrize("name", [*NUMBERS, *TEXTS])
def test_an_explicit_null_is_refused_by_name_and_callers_who_drop_it_are_served(
    loop: Loop, worker: Worker, name: str
) -> None:
    body = {"input": {"prompt": "x", "max_tokens": 2, name: None}}
    response = httpx2.post(f"{worker.url}/predictions", json=body, timeout=120)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "input", name]
    if name != "prompt":
        _, prediction = loop.run(stream(worker, {"max_tokens": 2, "prompt": "x", name: None}))
        assert prediction.status is Status.SUCCEEDED


@pytest.mark.parametrize("name", ["system_prompt", "messages", "stop_sequences"])
def test_an_empty_text_is_none(loop: Loop, worker: Worker, name: str) -> None:
    _, prediction = loop.run(stream(worker, {"prompt": "x", "max_tokens": 2, name: ""}))
    assert prediction.status is Status.SUCCEEDED


@pytest.mark.parametrize("name", ["repetition_penalty", "presence_penalty", "frequency_penalty"])
def test_every_penalty_is_applied(loop: Loop, worker: Worker, name: str) -> None:
    inputs = {"prompt": "def main(args):", "temperature": 0, "max_tokens": 80, "min_tokens": 80}
    plain, penalized = ("".join(loop.run(stream(worker, {**inputs, **more}))[0]) for more in ({}, {name: 1.5}))
    assert plain != penalized


def test_the_engine_is_the_one_that_the_model_has_something_for(worker: Worker, request: pytest.FixtureRequest) -> None:
    engine = request.node.callspec.params["worker"]
    reasons = {"openvino": "openvino-bf16-cpu is here, the fastest for this CPU", "torch": "none of its openvino"}
    assert f"engine: {engine} ({reasons[engine]}" in worker.logs


@pytest.mark.parametrize("inputs", [{"seed": 2**53}, {"top_k": 10**9}, {"temperature": 1e-300}, {"max_tokens": 10**6}])
def test_extreme_values_within_bounds_work(loop: Loop, worker: Worker, inputs: dict[str, Any]) -> None:
    _, prediction = loop.run(
        stream(
            worker, {"prompt": "x = [1, 2, 3, 4", "temperature": 0, "max_tokens": 3, "stop_sequences": "]", **inputs}
        )
    )
    assert prediction.status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({}, "prompt: is empty"),
        ({"prompt": ""}, "prompt: is empty"),
        ({"prompt": "x" * 10_000_000}, "prompt: has 10000000 characters; the model holds"),
        ({"prompt": "word " * 1500}, "prompt: has .* the model holds 1023"),
        ({"messages": "[]"}, "messages: is not a list"),
        ({"messages": '[{"role": "user", "content": "x"}]'}, "messages: needs a chat template"),
        ({"prompt": "x", "system_prompt": "be brief"}, "system_prompt: needs a chat template"),
        ({"prompt": "x", "prompt_template": "nowhere"}, "prompt_template: lacks {prompt}"),
        ({"prompt": "x", "min_tokens": 9, "max_tokens": 2}, "min_tokens: is 9, more than max_tokens"),
        ({"prompt": "x", "stop_sequences": "a," * 5_000_000}, "stop_sequences: takes at most 64 sequences"),
        ({"prompt": "x", "stop_sequences": "a" * 10_000_000}, "stop_sequences: takes at most 64 sequences"),
        ({"prompt": "x", "prompt_template": "{prompt}" + "y" * 10_000_000}, "prompt: has 10000001 characters"),
        ({"prompt": "x", "system_prompt": "y" * 10_000_000}, "system_prompt: needs a chat template"),
        ({"messages": "[" * 100_000}, "messages: is not JSON"),
        ({"prompt": "x", "prompt_template": ""}, "prompt_template: lacks {prompt}"),
    ],
)
def test_input_that_only_the_model_can_judge_fails_by_name(
    loop: Loop, worker: Worker, inputs: dict[str, str], named: str
) -> None:
    _, prediction = loop.run(stream(worker, inputs))
    assert prediction.status is Status.FAILED
    assert prediction.error is not None
    assert re.search(named, prediction.error)


@pytest.mark.parametrize("prompt", ["\x00\x01\x1b[2J", "\r\n", "# 🙂🏳️‍🌈 ünïcode \u2028", '"\\"', "   ", "x" * 3000])
def test_odd_prompts_are_served(loop: Loop, worker: Worker, prompt: str) -> None:
    _, prediction = loop.run(stream(worker, {"prompt": prompt, "max_tokens": 8, "min_tokens": 8}))
    assert prediction.status is Status.SUCCEEDED
    assert prediction.metrics["output_token_count"] == 8


def test_unknown_null_and_half_characters(loop: Loop, worker: Worker) -> None:
    _, prediction = loop.run(stream(worker, {"prompt": "x", "promt": "y", "seed": None, "max_tokens": 2}))
    assert prediction.status is Status.SUCCEEDED
    with pytest.raises(InputError, match="prompt"):
        loop.run(stream(worker, {"prompt": "half \ud83d"}))
    raw = json.dumps({"input": {"prompt": "half \ud83d", "max_tokens": 2}}).encode()  # the escape, as JSON allows it
    response = httpx2.post(f"{worker.url}/predictions", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422) or response.json()["status"] == "failed"


def test_it_is_still_healthy_after_all_that(loop: Loop, worker: Worker) -> None:
    health = loop.run(worker.health())
    assert health.status is HealthStatus.READY


async def kill_in_mid_prediction(queue: LocalQueue, workers: list[Worker]) -> None:
    async with aclosing(queue.stream(LONG)) as events:
        async for event in events:
            if isinstance(event, Output) and event.index == 3:
                children = psutil.Process(workers[0].pid).children(recursive=True)
                (python,) = (child for child in children if "coglet" in " ".join(child.cmdline()))
                os.kill(python.pid, signal.SIGKILL)


def test_kill_9_of_the_python_process_is_reported_and_the_next_prediction_is_served() -> None:
    async def run() -> None:
        workers: list[Worker] = []

        def make() -> Worker:
            workers.append(Worker(Project.load(ROOT)))
            return workers[-1]

        async with LocalQueue(make) as queue:
            await queue.wait_ready(120)
            with pytest.raises(WorkerCrashedError):
                await kill_in_mid_prediction(queue, workers)
            again = await queue.predict({"prompt": "def main(args):", "max_tokens": 5})
            assert again.status is Status.SUCCEEDED
            assert len(workers) == 2
        assert not psutil.pid_exists(workers[0].pid)
        assert not psutil.pid_exists(workers[1].pid)

    asyncio.run(run())
