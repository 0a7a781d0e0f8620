"""SmolLM2's GGUF as a model folder: the weights against the gguf package, the tokens against the model's own split."""

from __future__ import annotations

import json

import gguf
import numpy as np
import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

from pilotlight.loading.gguf.header import read_header
from tests.real_models import smollm2, smollm2_gguf

# What Digits(individual_digits=True) before ByteLevel gives, which is how SmolLM2's own tokenizer.json splits.
TOKENS = [
    ("Hello world", ["Hello", "Ġworld"]),
    ("123,45", ["1", "2", "3", ",", "4", "5"]),
    ("\n\n7 days", ["ĊĊ", "7", "Ġdays"]),
    ("  5", ["ĠĠ", "5"]),
    ("    for i", ["ĠĠĠ", "Ġfor", "Ġi"]),
    ("<|im_start|>user\n", ["<|im_start|>", "user", "Ċ"]),
]


@pytest.mark.parametrize(("text", "tokens"), TOKENS)
def test_tokens(text: str, tokens: list[str]) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2() / "tokenizer.json"))
    encoding = tokenizer.encode(text)
    assert encoding.tokens == tokens
    assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.29.ffn_down.weight", "model.layers.29.mlp.down_proj.weight"),
        ("output_norm.weight", "model.norm.weight"),
    ],
)
def test_weights_are_those_of_the_file(name: str, ours: str) -> None:
    entries = {entry.name: entry for entry in read_header(smollm2_gguf()).tensors}
    entry = entries[name]
    stored = np.fromfile(entry.file, np.uint8, entry.size_bytes, offset=entry.offset)
    expected = gguf.quants.dequantize(stored.reshape(*entry.shape[:-1], -1), gguf.GGMLQuantizationType[entry.type])
    with safe_open(smollm2() / "model.safetensors", "numpy") as weights:
        assert len(weights.keys()) == len(entries) == 272
        np.testing.assert_array_equal(weights.get_tensor(ours), expected)


def test_configuration() -> None:
    config = json.loads((smollm2() / "config.json").read_text())
    assert config["rms_norm_eps"] == 1e-5
    assert config["rope_parameters"] == {"rope_type": "default", "rope_theta": 100_000.0}
    assert config["tie_word_embeddings"] is True
    assert json.loads((smollm2() / "generation_config.json").read_text())["eos_token_id"] == 2
    assert "<|im_start|>" in (smollm2() / "chat_template.jinja").read_text()
