"""The classifier and the embedder behind the examples, over an engine that counts letters."""

from __future__ import annotations

import asyncio
import math
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from pilotlight.adapters.encoder import ClassifyPredictor, EmbedPredictor
from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.fake import FakeEncoder
from pilotlight.engines.encoders.types import Activation, Encoded, Rows, Task, TextRequest
from pilotlight.errors import ConfigError, EngineError, InputError, WeightsError
from tests.encoders import tiny_embedder

DEADLINE_S = 120


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.SOFTMAX, {"a": math.e**2 / (math.e**2 + math.e), "b": math.e / (math.e**2 + math.e)}),
        (Activation.SIGMOID, {"a": 1 / (1 + math.e**-2), "b": 1 / (1 + math.e**-1)}),
        (Activation.NONE, {"a": 2.0, "b": 1.0}),
    ],
)
def test_labels_come_with_scores_the_likeliest_first(activation: Activation, expected: dict[str, float]) -> None:
    predictor = ClassifyPredictor(FakeEncoder(("b", "a"), activation=activation))
    [found] = asyncio.run(predictor.classify("aab", "", top_k=5))
    assert [label for label, _ in found.labels] == ["a", "b"]
    assert dict(found.labels) == pytest.approx(expected)
    assert (found.tokens, found.truncated) == (3, False)
    predictor.close()


def test_large_numbers_overflow_nowhere() -> None:
    predictor = ClassifyPredictor(FakeEncoder(max_tokens=3000, activation=Activation.SOFTMAX))
    [found] = asyncio.run(predictor.classify("a" * 2000, "", top_k=1))
    assert found.labels == (("a", 1.0),)
    predictor.close()


def test_several_texts_keep_their_order_and_say_what_was_cut() -> None:
    predictor = EmbedPredictor(FakeEncoder(task=Task.EMBED, max_tokens=4))
    found = asyncio.run(predictor.embed("", '["aaab", "bbbbbb", "x"]'))
    assert [one.vector for one in found] == [pytest.approx((0.9486833, 0.3162278)), (0.0, 1.0), (0.0, 0.0)]
    assert [one.truncated for one in found] == [False, True, False]
    [raw] = asyncio.run(predictor.embed("aaab", "", normalize=False))
    assert raw.vector == (3.0, 1.0)
    predictor.close()


def test_predictions_that_come_together_are_computed_together() -> None:
    engine = FakeEncoder(cost=Cost(1.0, 0.0), limits=BatchLimits(max_rows=8, max_wait_s=5.0))
    predictor = ClassifyPredictor(engine)
    before = len(engine.network.batches)

    async def crowd() -> None:
        await asyncio.gather(*(predictor.classify("a" * (i + 1), "", top_k=1) for i in range(8)))

    asyncio.run(crowd())
    assert [len(batch) for batch in engine.network.batches[before:]] == [8]
    predictor.close()


class Announcing(FakeEncoder):
    """Remembers what it was asked for, and holds whoever asks for two texts until it may go on."""

    def __init__(self, before: Callable[[Rows], None]) -> None:
        super().__init__(before=before, limits=BatchLimits(max_wait_s=0.0))
        self.asked: queue.SimpleQueue[list[Future[Encoded]]] = queue.SimpleQueue()
        self.held = threading.Event()
        self.go_on = threading.Event()

    def submit(self, requests: Sequence[TextRequest]) -> list[Future[Encoded]]:
        if len(requests) == 2:
            self.held.set()
            assert self.go_on.wait(DEADLINE_S)
        futures = super().submit(requests)
        self.asked.put(futures)
        return futures


@pytest.mark.parametrize("moment", ["before it is queued", "while it waits"])
def test_a_prediction_that_is_cancelled_takes_its_texts_away(moment: str) -> None:
    started, opened = threading.Event(), threading.Event()
    seen: list[int] = []

    def before(rows: Rows) -> None:
        seen.extend(len(row) for row in rows)
        if 9 in seen:
            started.set()
            assert opened.wait(DEADLINE_S)

    engine = Announcing(before)
    predictor = ClassifyPredictor(engine)
    engine.asked.get()  # the warm-up

    async def run() -> None:
        running = asyncio.create_task(predictor.classify("a" * 9, "", top_k=1))
        await asyncio.to_thread(started.wait, DEADLINE_S)
        await asyncio.to_thread(engine.asked.get)
        doomed = asyncio.create_task(predictor.classify("", '["aaaa", "aaaaa"]', top_k=1))
        await asyncio.to_thread(engine.held.wait, DEADLINE_S)
        if moment == "while it waits":
            engine.go_on.set()
            futures = await asyncio.to_thread(engine.asked.get)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        if moment == "before it is queued":
            engine.go_on.set()
            futures = await asyncio.to_thread(engine.asked.get)
        for future in futures:
            ended = threading.Event()
            future.add_done_callback(lambda _, ended=ended: ended.set())
            assert await asyncio.to_thread(ended.wait, DEADLINE_S)
            assert future.cancelled()
        opened.set()
        await running

    asyncio.run(run())
    assert 4 not in seen
    assert 5 not in seen
    predictor.close()


def test_a_text_that_fails_fails_its_prediction_and_no_other() -> None:
    def before(rows: Rows) -> None:
        if any(len(row) == 3 for row in rows):
            raise RuntimeError("no threes")

    predictor = ClassifyPredictor(FakeEncoder(before=before))

    async def crowd() -> list[object]:
        texts = ["aa", "bbb", "b"]
        return await asyncio.gather(*(predictor.classify(text, "", top_k=1) for text in texts), return_exceptions=True)

    good, bad, fine = asyncio.run(crowd())
    assert isinstance(bad, EngineError)
    assert isinstance(good, list)
    assert isinstance(fine, list)
    predictor.close()


def test_top_k_is_checked() -> None:
    predictor = ClassifyPredictor(FakeEncoder())
    with pytest.raises(InputError, match="top_k: is 0; expected at least 1"):
        asyncio.run(predictor.classify("a", "", top_k=0))
    predictor.close()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PILOTLIGHT_BATCH", "0", "a whole number of at least 1"),
        ("PILOTLIGHT_BATCH", "2.5", "a whole number of at least 1"),
        ("PILOTLIGHT_QUEUE", "many", "a whole number of at least 1"),
        ("PILOTLIGHT_BATCH_WAIT_MS", "-1", "a number of at least 0"),
        ("PILOTLIGHT_BATCH_WAIT_MS", "nan", "a number of at least 0"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(name: str, value: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'; expected {expected}"):
        ClassifyPredictor.from_environment(tmp_path, {name: value})


def test_the_environment_chooses_the_model_and_the_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "weights").mkdir()
    tiny_embedder(tmp_path / "weights")
    environ = {
        "PILOTLIGHT_MODEL": "distilbert-embedder",
        "PILOTLIGHT_DEVICE": "cpu",
        "PILOTLIGHT_BATCH": "7",
        "PILOTLIGHT_BATCH_WAIT_MS": "2.5",
        "PILOTLIGHT_POOLING": "cls",
    }
    project = tmp_path / "examples" / "embedder"
    project.mkdir(parents=True)
    predictor = EmbedPredictor.from_environment(project, {**environ, "PILOTLIGHT_BATHC": "7"})
    assert "PILOTLIGHT_BATHC is set, but pilotlight has no such setting; did you mean PILOTLIGHT_BATCH?" in caplog.text
    info = predictor.engine.info
    assert (info.engine, info.task) == ("torch", Task.EMBED)
    assert info.limits == BatchLimits(max_rows=7, max_wait_s=0.0025)
    assert info.cost.of(1, 8) > 0
    assert predictor.healthy()
    predictor.close()
    assert not predictor.healthy()
    with pytest.raises(WeightsError, match="is not a classifier"):
        ClassifyPredictor.from_environment(project, environ)
