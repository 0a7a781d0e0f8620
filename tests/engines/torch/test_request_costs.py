"""What a request of a model costs, as two passes of the model show it, and the context that is served with it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.memory.layout import LayerKind
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.engines.torch.load import load
from pilotlight.engines.torch.request_costs import measure_costs
from pilotlight.errors import ConfigError, InputError
from tests.architectures import tiny_architecture
from tests.built import change_config, make_family
from tests.logs import own_messages

FLOAT = 4
CONTEXT = 4096
# Of the family: two layers of two heads of 16 numbers, for keys and for values.
TOKEN_BYTES = 2 * 2 * 2 * 16 * FLOAT


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = make_family("llama", tmp_path)
    change_config(folder, max_position_embeddings=CONTEXT)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": CONTEXT}))
    return folder


def test_keys_and_values_are_those_of_the_configuration(model: Path) -> None:
    costs = measure_costs(load(model, device="cpu", dtype="float32"), weights_bytes=1000)
    assert costs.kinds == (LayerKind(2, TOKEN_BYTES // 2),)
    assert (costs.cache_bytes(100), costs.state_bytes, costs.weights_bytes) == (100 * TOKEN_BYTES, 0, 1000)
    assert costs.loaded_bytes > 0


@pytest.mark.parametrize(
    ("name", "layers", "grows_by_pairs", "has_state"),
    [
        ("minicpm3", 2, True, False),  # a latent attention
        ("jamba", 1, True, True),  # one layer keeps a state
        ("mamba", 0, False, True),
        ("openai-gpt", 0, True, False),  # without a cache
    ],
)
def test_any_cache_is_measured(name: str, layers: int, grows_by_pairs: bool, has_state: bool, tmp_path: Path) -> None:
    costs = measure_costs(load(tiny_architecture(name, tmp_path), device="cpu", dtype="float32"))
    assert sum(kind.layers for kind in costs.kinds) == layers
    assert (costs.pair_bytes > 0, costs.state_bytes > 0) == (grows_by_pairs, has_state)


def test_a_cache_that_cannot_be_measured_is_estimated(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded = load(model, device="cpu", dtype="float32")

    def refusing(**given: Any) -> Any:
        raise TypeError("no such argument")

    loaded.model.forward = refusing
    with caplog.at_level(logging.INFO, "pilotlight"):
        costs = measure_costs(loaded)
    assert costs.kinds == (LayerKind(2, 2 * 64 * FLOAT),)  # of the family: a hidden state of 64
    assert own_messages(caplog) == [
        "the cache of LlamaForCausalLM is estimated, since it cannot be measured: no such argument"
    ]


def test_a_context_that_does_not_fit_is_stated_and_refused_with_the_figure(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitting = 2000
    with caplog.at_level(logging.INFO, "pilotlight"):
        engine = TorchEngine(model, device="cpu", dtype="float32", serial=True, cache_bytes=fitting * TOKEN_BYTES)
    try:
        assert f"context {fitting} of the model's {CONTEXT}, for want of memory, 1 slots" in caplog.text
        info = engine.info
        assert (info.context_tokens, info.model_context_tokens) == (fitting, CONTEXT)
        assert info.cache_bytes == fitting * TOKEN_BYTES
        with pytest.raises(
            InputError, match=rf"memory holds {fitting} tokens of one request here, of the model's {CONTEXT}"
        ):
            engine.submit(GenerationRequest("one two", Sampling(max_tokens=3000)))
        assert engine.submit(GenerationRequest("one two", Sampling(temperature=0, max_tokens=4, min_tokens=4))).text()
    finally:
        engine.close()


def test_a_start_without_room_is_refused(model: Path) -> None:
    with pytest.raises(ConfigError, match="but keys and values of 1024 tokens, the least that is served, take"):
        TorchEngine(model, device="cpu", dtype="float32", serial=True, cache_bytes=1000 * TOKEN_BYTES)
