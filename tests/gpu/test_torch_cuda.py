"""The torch engine on CUDA: exact in float32, half precision by default, cancel and seeds as on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from tests.models import ARCHITECTURES, tiny_model

pytestmark = pytest.mark.gpu

PROMPTS = ("def main(args):", "The quick brown fox jumps " * 12, "one two", " x")


def greedy(prompt: str, max_tokens: int) -> GenerationRequest:
    return GenerationRequest(prompt, Sampling(temperature=0, max_tokens=max_tokens))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_greedy_is_generate_token_for_token(arch: str, tmp_path: Path) -> None:
    folder = tiny_model(arch, tmp_path)
    engine = TorchEngine(folder, device="cuda", dtype="float32", slots=8)
    try:
        assert engine.info.slots == 8, engine.info.note
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to("cuda")
        batch = [engine.submit(greedy(prompt, 30)) for prompt in PROMPTS]
        for generation in batch:
            generation.text()
            ids = torch.tensor([generation.prompt_ids], device="cuda")
            out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30)
            assert generation.output_ids == out[0, ids.shape[1] :].tolist()
    finally:
        engine.close()


def test_auto_is_cuda_in_16_bits(tmp_path: Path) -> None:
    engine = TorchEngine(tiny_model("llama", tmp_path))
    try:
        assert engine.info.device.startswith("cuda")
        assert engine.info.dtype in ("bfloat16", "float16")
        assert engine.submit(greedy("one two", 8)).text()
    finally:
        engine.close()


def test_seeds_and_cancel(tmp_path: Path) -> None:
    engine = TorchEngine(tiny_model("llama", tmp_path), device="cuda", dtype="float32")
    try:
        request = GenerationRequest("one two", Sampling(seed=7, max_tokens=40, temperature=1.0))
        alone = engine.submit(request).text()
        victims = [engine.submit(greedy("def f(self):", 400)) for _ in range(8)]
        assert engine.submit(request).text() == alone
        for victim in victims:
            victim.cancel()
            *_, last = victim
            assert last.finish in (FinishReason.CANCELED, FinishReason.LENGTH)
    finally:
        engine.close()
