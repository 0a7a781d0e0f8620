"""Every decoder that transformers loads as a language model: the path that serves it, and that it is exact.

Each is tiny, with random weights, and made on the spot. Its text by the torch engine is that of transformers'
``generate``, token for token: each prompt alone, and all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.errors import WeightsError
from tests.architectures import CONTEXT, tiny_model_of, write_model
from tests.engines.torch.expected_paths import BATCHED, REFUSED, SERIAL

# The second one is longer than the attention windows of the tiny models.
PROMPTS = ("def main(args):", "The quick brown fox jumps " * 5, "one two")
TOKENS = 8
END = 0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: models as small as these only wait for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def engine_of(model: Any, folder: Path) -> TorchEngine:
    write_model(model, folder)
    return TorchEngine(folder, device="cpu", dtype="float32", slots=4)


def reference(model: Any, prompt_ids: list[int], tokens: int = TOKENS) -> list[int]:
    """What transformers' own ``generate`` gives, as token ids."""
    ids = torch.tensor([prompt_ids])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=tokens,
        pad_token_id=END,
        eos_token_id=END,
    )
    found: list[int] = out[0, ids.shape[1] :].tolist()
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")  # some say which fast kernels are not installed
@pytest.mark.parametrize("model_type", [*BATCHED, *SERIAL])
def test_the_path_and_its_text(model_type: str, tmp_path: Path) -> None:
    model = tiny_model_of(model_type)
    engine = engine_of(model, tmp_path)
    try:
        assert (engine.info.slots == 4) == (model_type in BATCHED), engine.info.note
        if model_type in SERIAL:
            assert SERIAL[model_type] in engine.info.note
        expected = [reference(model, engine.codec.encode(prompt)) for prompt in PROMPTS]
        assert len(set(map(tuple, expected))) > 1, "a model that says the same to everything shows nothing"
        requests = [GenerationRequest(prompt, Sampling(temperature=0, max_tokens=TOKENS)) for prompt in PROMPTS]
        alone = []
        for request in requests:
            generation = engine.submit(request)
            generation.text()
            alone.append(generation.output_ids)
        assert alone == expected
        together = [engine.submit(request) for request in requests]
        for generation in together:
            generation.text()
        assert [generation.output_ids for generation in together] == expected
    finally:
        engine.close()


@pytest.mark.parametrize("model_type", REFUSED)
def test_what_no_path_computes_is_refused(model_type: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=REFUSED[model_type]):
        engine_of(tiny_model_of(model_type), tmp_path)


@pytest.mark.parametrize(
    "model_type", ["biogpt", "codegen", "ctrl", "gpt2", "gpt_bigcode", "gpt_neo", "openai-gpt", "opt", "xglm"]
)
def test_learned_positions_reach_to_the_end_of_the_context(model_type: str, tmp_path: Path) -> None:
    model = tiny_model_of(model_type)
    engine = engine_of(model, tmp_path)
    try:
        prompt = "one two three four " * 49
        prompt_ids = engine.codec.encode(prompt)
        assert 0 < (rest := CONTEXT - len(prompt_ids)) < 20
        generation = engine.submit(GenerationRequest(prompt, Sampling(temperature=0, max_tokens=500)))
        generation.text()
        assert generation.output_ids == reference(model, prompt_ids, rest)
    finally:
        engine.close()
