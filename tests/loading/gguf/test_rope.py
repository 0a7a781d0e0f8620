"""Rotary positions: each kind of scaling gives the frequencies of the model that the file was written from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter, RopeScalingType
from transformers import AutoModelForCausalLM, PreTrainedModel

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.convert import convert_gguf
from pilotlight.loading.gguf.metadata import Metadata
from pilotlight.loading.gguf.rope import rope_parameters
from tests.loading.gguf.files import Weights, gguf_of
from tests.loading.gguf.test_architectures import logits, make

HEAD = 16
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "long_factor": [1.5 + i for i in range(HEAD // 2)],
    "short_factor": [1.0 + i / 8 for i in range(HEAD // 2)],
    "original_max_position_embeddings": 32,
}


def llama3_factors() -> Weights:
    """Return what llama.cpp's converter writes: the plain frequencies divided by those of transformers."""
    model = make("LlamaConfig", rope_parameters=LLAMA3)
    plain = 1.0 / LLAMA3["rope_theta"] ** (torch.arange(0, HEAD, 2) / HEAD)
    factors = plain / model.model.rotary_emb.inv_freq
    return {"rope_freqs.weight": factors.float().numpy()}


def write_linear(writer: GGUFWriter) -> None:
    writer.add_rope_scaling_type(RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(4.0)


def write_yarn(writer: GGUFWriter) -> None:
    writer.add_rope_scaling_type(RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(16)


def write_long(writer: GGUFWriter) -> None:
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_scaling_orig_ctx_len(32)
    writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(64 / 32) / np.log(32))))


def nothing(writer: GGUFWriter) -> None:
    """Write no settings."""


def converted(model: PreTrainedModel, folder: Path, architecture: str, **options: Any) -> PreTrainedModel:
    convert_gguf(gguf_of(model, folder / "m.gguf", architecture, **options), folder / "m", dtype="float32")
    found: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder / "m", dtype=torch.float32)
    return found


@pytest.mark.parametrize(
    ("architecture", "config", "rope", "describe", "extra"),
    [
        ("llama", "LlamaConfig", LLAMA3, nothing, llama3_factors),
        ("qwen2", "Qwen2Config", {"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0}, write_linear, dict),
        ("qwen2", "Qwen2Config", YARN, write_yarn, dict),
        (
            "phi3",
            "Phi3Config",
            LONG,
            write_long,
            lambda: {
                f"rope_factors_{name}.weight": np.array(LONG[f"{name}_factor"], np.float32)
                for name in ("long", "short")
            },
        ),
    ],
)
def test_scaling(
    architecture: str,
    config: str,
    rope: dict[str, Any],
    describe: Callable[[GGUFWriter], None],
    extra: Callable[[], Weights],
    tmp_path: Path,
) -> None:
    settings = {"original_max_position_embeddings": 32} if config == "Phi3Config" else {}
    model = make(config, rope_parameters=rope, **settings)
    ours = converted(model, tmp_path, architecture, describe=describe, extra=extra())
    assert ours.config.rope_parameters["rope_type"] == rope["rope_type"]
    torch.testing.assert_close(logits(ours), logits(model), rtol=1e-5, atol=1e-5)


def test_factors_that_are_not_llama_3s_are_refused(tmp_path: Path) -> None:
    extra = {"rope_freqs.weight": np.linspace(1, 5, HEAD // 2, dtype=np.float32)}
    with pytest.raises(WeightsError, match=r"rope_freqs\.weight\) that are not those of Llama 3"):
        converted(make("LlamaConfig"), tmp_path, "llama", extra=extra)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"rope.scaling.type": "dynamic"}, "scales its positions by 'dynamic'"),
        ({"rope.scaling.type": "yarn", "rope.scaling.attn_factor": 0.7}, r"rope\.scaling\.attn_factor, which is not"),
        ({"rope.scaling.type": "linear"}, r"does not say its llama\.rope\.scaling\.factor"),
        ({"rope.dimension_count": 8}, "rotates 8 of 16 dimensions of a head"),
    ],
)
def test_what_is_not_supported_is_refused(entries: dict[str, Any], message: str) -> None:
    named = {f"llama.{key}": value for key, value in entries.items()}
    with pytest.raises(WeightsError, match=message):
        rope_parameters(Metadata({"general.architecture": "llama", **named}, "a.gguf"), HEAD, {}, partial=False)
