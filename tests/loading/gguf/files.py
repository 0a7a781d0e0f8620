"""Tiny GGUF files for tests, written with the gguf package as llama.cpp's converter writes real ones.

The names of tensors come from gguf's own map, so that they are not those of the code under test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tests.models import tiny_tokenizer

INTERLEAVED = ("llama", "smollm3", "granite")
ONE_ADDED = ("gemma", "gemma2", "gemma3")
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Words:
    """A vocabulary: byte-level BPE by default, the one of ``tests.models``."""

    model: str = "gpt2"
    pre: str | None = "gpt-2"
    tokens: Sequence[str] = ()
    kinds: Sequence[int] = ()
    merges: Sequence[str] = ()
    scores: Sequence[float] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def write(self, writer: GGUFWriter) -> None:
        writer.add_tokenizer_model(self.model)
        if self.pre is not None:
            writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(list(self.tokens))
        writer.add_token_types(list(self.kinds))
        if self.merges:
            writer.add_token_merges(list(self.merges))
        if self.scores:
            writer.add_token_scores(list(self.scores))
        for key, value in self.extra.items():
            add = writer.add_bool if isinstance(value, bool) else writer.add_uint32
            add(f"tokenizer.ggml.{key}", value) if isinstance(value, int) else writer.add_chat_template(value)


def byte_words(**changes: Any) -> Words:
    """Return the vocabulary of ``tests.models``: 512 ids, id 0 ends a text."""
    document = json.loads(tiny_tokenizer().to_str())
    vocab = sorted(document["model"]["vocab"].items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocab]
    settings: dict[str, Any] = {
        "tokens": tokens,
        "kinds": [3 if token.startswith("<|") else 1 for token in tokens],
        "merges": [" ".join(pair) for pair in document["model"]["merges"]],
        "extra": {"eos_token_id": 0, "bos_token_id": 0},
    }
    return Words(**(settings | changes))


def write_gguf(
    path: Path,
    architecture: str,
    tensors: Weights,
    *,
    describe: Callable[[GGUFWriter], None] = lambda writer: None,
    words: Words | None = None,
    kind: str = "F32",
    **options: Any,
) -> Path:
    """Write a file; matrices whose rows ``kind`` can hold are stored as it, the others as F32.

    ``options`` are of ``GGUFWriter``: in how many parts, in which byte order.
    """
    writer = GGUFWriter(path, architecture, **options)
    describe(writer)
    (words or byte_words()).write(writer)
    for name, values in tensors.items():
        stored, stored_kind = quantised(values, kind) if values.ndim > 1 else (values, GGMLQuantizationType.F32)
        writer.add_tensor(name, stored, raw_dtype=stored_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tiny_gguf(path: Path, *, seed: int = 0, kind: str = "F32", **options: Any) -> Path:
    """Write a Llama of one layer with random weights."""
    chance = np.random.default_rng(seed)
    words = byte_words()
    shapes = {
        "token_embd.weight": (len(words.tokens), 32),
        "output_norm.weight": (32,),
        "blk.0.attn_norm.weight": (32,),
        "blk.0.ffn_norm.weight": (32,),
        **{f"blk.0.attn_{name}.weight": (32, 32) for name in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{name}.weight": (64, 32) for name in ("gate", "up")},
        "blk.0.ffn_down.weight": (32, 64),
    }

    def describe(writer: GGUFWriter) -> None:
        writer.add_block_count(1)
        writer.add_context_length(64)
        writer.add_embedding_length(32)
        writer.add_feed_forward_length(64)
        writer.add_head_count(2)
        writer.add_layer_norm_rms_eps(1e-5)

    tensors = {name: chance.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return write_gguf(path, "llama", tensors, describe=describe, words=words, kind=kind, **options)


def quantised(values: NDArray[np.float32], kind: str) -> tuple[NDArray[Any], GGMLQuantizationType]:
    """Return the values as ``kind``; K-quants, which gguf cannot write, as random blocks of sane scales."""
    number = GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[number]
    if values.shape[-1] % block:
        return values, GGMLQuantizationType.F32
    if kind not in SCALES:
        return gguf.quants.quantize(values, number), number
    chance = np.random.default_rng(values.size)
    blocks = chance.integers(0, 256, (values.size // block, size), np.uint8)
    for at in SCALES[kind]:
        scales = (0.002 * chance.random(len(blocks))).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(*values.shape[:-1], -1), number


SCALES = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "Q2_K": (80, 82), "Q3_K": (108,)}


def gguf_of(
    model: PreTrainedModel,
    path: Path,
    architecture: str,
    *,
    describe: Callable[[GGUFWriter], None] = lambda writer: None,
    extra: Weights | None = None,
    words: Words | None = None,
    kind: str = "F32",
) -> Path:
    """Write ``model`` as a file of ``architecture``."""

    def whole(writer: GGUFWriter) -> None:
        describe_config(writer, model.config)
        describe(writer)

    return write_gguf(
        path, architecture, {**tensors_of(model, architecture), **(extra or {})}, describe=whole, words=words, kind=kind
    )


def describe_config(writer: GGUFWriter, config: Any) -> None:
    text = config.to_dict()
    heads = config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(text.get("intermediate_size") or text.get("n_inner") or 4 * config.hidden_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(text.get("num_key_value_heads") or heads)
    if text.get("head_dim"):
        writer.add_key_length(text["head_dim"])
        writer.add_value_length(text["head_dim"])
    if "rms_norm_eps" in text:
        writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(text.get("layer_norm_eps") or text["layer_norm_epsilon"])
    rope = text.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    if "rope_theta" in rope:
        writer.add_rope_freq_base(rope["rope_theta"])


def tensors_of(model: PreTrainedModel, architecture: str) -> dict[str, NDArray[np.float32]]:
    (number,) = (one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(number, model.config.num_hidden_layers)
    heads = model.config.num_attention_heads
    key_heads = model.config.to_dict().get("num_key_value_heads") or heads
    found: dict[str, NDArray[np.float32]] = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        values = tensor.detach().float().numpy()
        if architecture in INTERLEAVED and ".q_proj." in name:
            values = _interleave(values, heads)
        if architecture in INTERLEAVED and ".k_proj." in name:
            values = _interleave(values, key_heads)
        if architecture in ONE_ADDED and name.endswith("norm.weight"):
            values = values + np.float32(1)
        if architecture == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            values = values.T
        there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert there is not None, name
        found[there] = np.ascontiguousarray(values)
    return found


def _interleave(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    half = values.shape[0] // heads // 2
    return values.reshape(heads, 2, half, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def random_norms(model: PreTrainedModel) -> PreTrainedModel:
    """Give the norms and biases of ``model`` values of their own, so that a test sees where they go."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model
