"""The example projects with encoders behind the real Cog server: right answers, batches, bad input, cancel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pilotlight.runtime import HealthStatus, Project, ServerOptions, Worker
from pilotlight.types import Prediction, Status
from tests.encoders import LABELS, MAX_TOKENS, tiny_classifier, tiny_embedder
from tests.paths import ROOT

TEXTS = ["def main(args):", "one two three", "x", "The quick brown fox jumps over the lazy dog."]
ENVIRON = {"PILOTLIGHT_DTYPE": "float32", "PILOTLIGHT_DEVICE": "cpu"}


def with_worker(example: str, model: Path, work: Callable[[Worker], Awaitable[None]]) -> None:
    async def run() -> None:
        project = Project.load(ROOT / "examples" / example)
        worker = Worker(project, ServerOptions(env={**ENVIRON, "PILOTLIGHT_MODEL": str(model)}))
        try:
            await worker.start()
            await worker.wait_ready(120)
            await work(worker)
            assert (await worker.health()).status is HealthStatus.READY
        finally:
            await worker.stop()

    asyncio.run(run())


async def predict(worker: Worker, **inputs: Any) -> Prediction:
    return await worker.predict(inputs, busy_timeout_s=120)


def expected_scores(folder: Path, text: str) -> dict[str, float]:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        return dict(zip(LABELS, model(**inputs).logits[0].softmax(-1).tolist(), strict=True))


def test_the_classifier_answers_as_transformers_does_many_at_once(tmp_path: Path) -> None:
    model = tiny_classifier(tmp_path)

    async def work(worker: Worker) -> None:
        assert worker.slots == 32
        several = await predict(worker, texts=json.dumps(TEXTS))
        assert several.status is Status.SUCCEEDED
        assert several.metrics["text_count"] == len(TEXTS)
        assert several.metrics["input_token_count"] == sum(answer["tokens"] for answer in several.output)
        assert several.metrics["truncated_count"] == 0
        for text, answer in zip(TEXTS, several.output, strict=True):
            expected = expected_scores(model, text)
            assert {one["label"]: one["score"] for one in answer["scores"]} == pytest.approx(expected, abs=1e-5)
            assert (answer["label"], answer["score"]) == tuple(answer["scores"][0].values())
            assert answer["score"] == max(one["score"] for one in answer["scores"])
            assert answer["truncated"] is False
        alone = await asyncio.gather(*(predict(worker, text=TEXTS[i % 4]) for i in range(40)))
        for i, prediction in enumerate(alone):
            assert prediction.output[0]["label"] == several.output[i % 4]["label"]
        long = await predict(worker, text="one two three " * 40, top_k=1)
        assert (long.output[0]["truncated"], long.output[0]["tokens"]) == (True, MAX_TOKENS)
        assert len(long.output[0]["scores"]) == 1
        await refuses(worker)
        await cancels(worker)

    with_worker("classifier", model, work)


async def refuses(worker: Worker) -> None:
    for inputs, message in [
        ({}, "text: is empty"),
        ({"text": "x", "texts": '["y"]'}, "texts: is given together with text"),
        ({"texts": "one, two"}, "texts: is not JSON"),
        ({"texts": '["x", ""]'}, "texts[1]: is empty"),
        ({"texts": json.dumps(["x"] * 257)}, "texts: has 257 texts and at most 256 are taken"),
        ({"text": "x" * 100_001}, "text: has 100001 characters and at most 100000 are taken"),
        ({"text": "word " * 100, "truncate": False}, f"the model holds {MAX_TOKENS}"),
    ]:
        prediction = await predict(worker, **inputs)
        assert prediction.status is Status.FAILED
        assert message in str(prediction.error)
    async with httpx2.AsyncClient() as client:
        response = await client.post(f"{worker.url}/predictions", json={"input": {"text": "x", "top_k": 0}})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "input", "top_k"]


async def cancels(worker: Worker) -> None:
    """Whatever is cancelled ends, one way or the other, and no slot is lost."""
    heavy = json.dumps(["word " * 60] * 128)

    async def doomed(i: int) -> Status:
        prediction = asyncio.create_task(
            worker.predict({"texts": heavy}, prediction_id=f"doomed-{i}", busy_timeout_s=120)
        )
        for _ in range(1000):
            if await worker.cancel(f"doomed-{i}") or prediction.done():
                break
        return (await prediction).status

    ends = await asyncio.gather(*map(doomed, range(6)))
    assert set(ends) <= {Status.CANCELED, Status.SUCCEEDED, Status.FAILED}
    assert Status.CANCELED in ends
    after = await asyncio.gather(*(predict(worker, text="x") for _ in range(worker.slots)))
    assert {prediction.status for prediction in after} == {Status.SUCCEEDED}


def test_the_embedder_gives_vectors_of_length_one_unless_told_otherwise(tmp_path: Path) -> None:
    model = tiny_embedder(tmp_path)

    async def work(worker: Worker) -> None:
        unit = await predict(worker, texts=json.dumps(TEXTS))
        raw = await predict(worker, texts=json.dumps(TEXTS), normalize=False)
        vectors = torch.tensor([answer["vector"] for answer in unit.output])
        assert vectors.shape == (len(TEXTS), 32)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(TEXTS)))
        longer = torch.tensor([answer["vector"] for answer in raw.output])
        assert torch.allclose(torch.nn.functional.normalize(longer, dim=1), vectors, atol=1e-5)
        assert longer.norm(dim=1).min() > 1.1
        [alone] = (await predict(worker, text=TEXTS[3])).output
        assert torch.allclose(torch.tensor(alone["vector"]), vectors[3], atol=1e-5)

    with_worker("embedder", model, work)


@pytest.mark.parametrize("example", ["classifier", "embedder"])
def test_an_example_installs_what_the_project_does(example: str) -> None:
    assert (ROOT / "examples" / example / "requirements.txt").read_text() == (ROOT / "requirements.txt").read_text()
