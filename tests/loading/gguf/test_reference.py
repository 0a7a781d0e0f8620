"""The converted folder beside transformers' own reading of the same file (which needs accelerate), by their logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM, PreTrainedModel

from pilotlight.loading.gguf.convert import convert_gguf
from pilotlight.loading.gguf.header import read_header
from tests.loading.gguf.files import gguf_of
from tests.loading.gguf.test_architectures import describe, logits, make

# transformers 5.23 reads no head length for qwen3, and neither caps nor the scale of queries for gemma2: those are
# the defaults of its classes here.
MODELS: list[tuple[str, str, dict[str, Any]]] = [
    ("llama", "LlamaConfig", {}),
    ("llama", "LlamaConfig", {"tie_word_embeddings": True}),
    ("qwen2", "Qwen2Config", {}),
    ("qwen3", "Qwen3Config", {"head_dim": 128}),
    (
        "gemma2",
        "Gemma2Config",
        {
            "head_dim": 256,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "sliding_window": 16,
            "tie_word_embeddings": True,
        },
    ),
]
KINDS = (
    *("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16"),
    *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
)
WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1}  # a K-quant's block has 256 values


def by_transformers(file: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    return model.eval()


def by_us(file: Path) -> PreTrainedModel:
    folder = file.with_suffix("")
    convert_gguf(file, folder, dtype="float32")
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


@pytest.mark.parametrize(("architecture", "config", "settings"), MODELS)
def test_weights_and_logits(architecture: str, config: str, settings: dict[str, Any], tmp_path: Path) -> None:
    file = gguf_of(
        make(config, **settings),
        tmp_path / "m.gguf",
        architecture,
        describe=lambda writer: describe(writer, architecture, settings),
    )
    ours, theirs = by_us(file), by_transformers(file)
    assert ours.config.tie_word_embeddings is theirs.config.tie_word_embeddings
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    for name, values in ours.state_dict().items():
        torch.testing.assert_close(values, expected[name], rtol=0, atol=0)
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_quantised(kind: str, tmp_path: Path) -> None:
    def whole(writer: GGUFWriter) -> None:
        describe(writer, "llama", {"head_dim": 64})

    file = gguf_of(make("LlamaConfig", **WIDE), tmp_path / "m.gguf", "llama", describe=whole, kind=kind)
    assert {entry.type for entry in read_header(file).tensors if len(entry.shape) > 1} == {kind}
    ours, theirs = by_us(file), by_transformers(file).state_dict()
    for name, values in ours.state_dict().items():
        torch.testing.assert_close(values, theirs[name], rtol=0, atol=0)
