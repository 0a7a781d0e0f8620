"""The torch engine's plan holds in transformers' own numbers, for layers of two kinds and a large vocabulary."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig
from transformers.initialization import no_init_weights

from pilotlight.engines.torch.cache_plan import planned_cache
from pilotlight.engines.torch.continuous import TorchBackend
from pilotlight.engines.torch.load import Loaded
from pilotlight.errors import ConfigError

GB = 10**9
CONTEXT = 32_768


@pytest.fixture(scope="module")
def gemma() -> Loaded:
    """A model of gemma-3-270m's shape; its weights are never written, so they take no memory."""
    config = Gemma3TextConfig(
        vocab_size=262_144,
        hidden_size=640,
        intermediate_size=2048,
        num_hidden_layers=18,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=256,
        sliding_window=512,
        max_position_embeddings=CONTEXT,
        layer_types=["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(18)],
        attn_implementation="sdpa",
    )
    with no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    no_codec: Any = None  # a cache is planned and made without one
    return Loaded(model, no_codec, CONTEXT, (1,), config.vocab_size)


def test_the_default_slots_share_24_gb(gemma: Loaded) -> None:
    with planned_cache(gemma, 16, free_bytes=lambda: 24 * GB) as planned:
        plan = planned.reservation.plan
        assert (plan.context_tokens, plan.slots) == (CONTEXT, 16)
        assert plan.planned_bytes + plan.reserve_bytes <= 24 * GB
    planned.reservation.release()


def test_a_window_makes_a_context_cheap(gemma: Loaded) -> None:
    """Were all layers to keep all tokens, one context would take 604 MB."""
    with planned_cache(gemma, 1, free_bytes=lambda: 24 * GB) as planned:
        assert planned.reservation.plan.cache_bytes < 120_000_000
    planned.reservation.release()


def test_it_starts_with_the_cache_that_was_planned(gemma: Loaded) -> None:
    backend = TorchBackend(gemma, 16, 2, stated_bytes=150_000_000)
    try:
        assert (backend.context_tokens, backend.slots) == (CONTEXT, 16)
        assert backend.cache_bytes < 155_000_000
    finally:
        backend.close()


def test_too_little_memory_is_refused_before_anything_is_made(gemma: Loaded) -> None:
    with pytest.raises(ConfigError, match=r"memory is too short for this model: .* \d+ MB are free"):
        planned_cache(gemma, 16, free_bytes=lambda: 500_000_000).__enter__()
