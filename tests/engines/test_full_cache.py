"""Caches with room for a few of many requests, on every engine: all are answered, as they would be alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pilotlight.engines.onnx.engine import OnnxEngine
from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.errors import ConfigError
from tests.engines.exported import exported_model
from tests.engines.exported_onnx import onnx_model
from tests.models import tiny_model

# The first run makes the exporters' environments and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

CONTEXT = 512
SLOTS = 8
# Two layers, two heads of 16 for keys and for values, float32: one whole context, of which most requests take a third.
CACHE_BYTES = CONTEXT * 2 * 2 * 2 * 16 * 4
Open = Callable[..., BackendEngine]


@pytest.fixture(scope="module", params=["torch", "torch-gemma3", "onnx", "openvino"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    engines: list[BackendEngine] = []

    def engine(**options: int) -> BackendEngine:
        options = {"slots": SLOTS, "queue_size": 64, **options}
        if kind == "onnx":
            made: BackendEngine = OnnxEngine(*onnx_model("llama", folder / str(len(engines))), **options)
        elif kind == "openvino":
            model = exported_model("llama", folder / str(len(engines)))
            made = OpenVINOEngine(*model, stages=Stages.BATCHING, **options)
        else:
            model = tiny_model("gemma3" if "gemma3" in kind else "llama", folder / str(len(engines)))
            made = TorchEngine(model, device="cpu", dtype="float32", **options)
        engines.append(made)
        return made

    yield engine
    for one in engines:
        one.close()


@pytest.fixture(scope="module")
def full(opened: Open) -> BackendEngine:
    """An engine whose cache holds one whole context, and which serves it with all slots."""
    engine = opened(cache_bytes=CACHE_BYTES)
    assert (engine.info.context_tokens, engine.info.slots) == (CONTEXT, SLOTS)
    return engine


@pytest.fixture(scope="module")
def requests() -> list[GenerationRequest]:
    return [
        GenerationRequest(
            "The quick brown fox jumps " * (8 + 12 * (i % 3)),
            Sampling(temperature=float(i % 2), seed=i, max_tokens=40 + 20 * (i % 3), min_tokens=40 + 20 * (i % 3)),
        )
        for i in range(6)
    ]


def test_many_requests_in_a_full_cache_get_the_text_that_they_get_alone(
    full: BackendEngine, requests: list[GenerationRequest]
) -> None:
    alone = []
    for request in requests:
        generation = full.submit(request)
        generation.text()
        alone.append(generation.output_ids)
    together = [full.submit(request) for request in requests * 2]
    for generation in together:
        generation.text()
    assert sum(len(one.prompt_ids) + len(one.output_ids) for one in together[:SLOTS]) > 2 * CONTEXT, (
        "the cache is never full"
    )
    assert [one.output_ids for one in together] == alone * 2


def test_a_request_with_the_whole_context_is_answered_between_small_ones(
    full: BackendEngine, requests: list[GenerationRequest]
) -> None:
    small = requests[0]
    whole = GenerationRequest("one " * 200, Sampling(temperature=0, max_tokens=10**6, min_tokens=10**6))
    running = [full.submit(request) for request in (small, small, whole, small, small)]
    for generation in running:
        generation.text()
    assert len(running[2].prompt_ids) + len(running[2].output_ids) == CONTEXT
    assert running[0].output_ids == running[1].output_ids == running[3].output_ids == running[4].output_ids


def test_canceled_requests_give_their_room_to_those_that_wait(
    full: BackendEngine, requests: list[GenerationRequest]
) -> None:
    whole = GenerationRequest("one", Sampling(temperature=0, max_tokens=10**6, min_tokens=10**6))
    holder = full.submit(whole)
    first = iter(holder)
    next(first)
    waiting = [full.submit(request) for request in (whole, requests[0], requests[1])]
    waiting[0].cancel()
    holder.cancel()
    assert [chunk.finish for chunk in first][-1] is FinishReason.CANCELED
    assert all(generation.text() for generation in waiting[1:])
    again = full.submit(requests[0])
    again.text()
    assert again.output_ids == waiting[1].output_ids


def test_a_cache_that_is_stated_too_small_is_refused_with_the_figure(opened: Open) -> None:
    with pytest.raises(
        ConfigError, match=r"PILOTLIGHT_CACHE_GB is 1e-05, but keys and values of 512 tokens.*take 0\.0"
    ):
        opened(cache_bytes=10_000)
