"""``config.json`` and ``generation_config.json`` from the metadata of a GGUF file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.architectures import Architecture
from pilotlight.loading.gguf.metadata import Metadata
from pilotlight.loading.gguf.vocabulary import Vocabulary


def model_sizes(metadata: Metadata, vocabulary_rows: int) -> dict[str, int]:
    """Return the sizes that the tensors' shapes are made of, and how many layers and heads there are.

    ``vocabulary_rows`` are those of the embedding, which may be more than there are tokens.
    """
    hidden = metadata.integer("embedding_length")
    heads = metadata.integer("attention.head_count")
    key_heads = metadata.integer("attention.head_count_kv", heads)
    if not heads or not key_heads or heads % key_heads:
        raise WeightsError(f"{metadata.where} says {heads} heads and {key_heads} of keys, which do not go together")
    head = metadata.integer("attention.key_length", hidden // heads)
    if metadata.integer("attention.value_length", head) != head:
        raise WeightsError(f"{metadata.where} has values of another length than keys, which is not supported")
    return {
        "layers": metadata.integer("block_count"),
        "heads": heads,
        "key_heads": key_heads,
        "vocabulary": vocabulary_rows,
        "hidden": hidden,
        "head": head,
        "queries": heads * head,
        "keys": key_heads * head,
        "inner": metadata.integer("feed_forward_length"),
    }


def model_config(
    metadata: Metadata,
    architecture: Architecture,
    sizes: Mapping[str, int],
    flags: Mapping[str, bool],
    vocabulary: Vocabulary,
    dtype: str,
) -> dict[str, Any]:
    """Return ``config.json``."""
    if metadata.integer("expert_count", 0):
        raise WeightsError(f"{metadata.where} holds a mixture of experts, which pilotlight cannot convert")
    rotary = metadata.integer("rope.dimension_count", sizes["head"])
    if rotary != sizes["head"]:
        raise WeightsError(
            f"{metadata.where} rotates {rotary} of {sizes['head']} dimensions of a head, which is not supported"
        )
    return {
        "architectures": [architecture.model_class],
        "model_type": architecture.model_type,
        "dtype": dtype,
        "vocab_size": sizes["vocabulary"],
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["inner"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["key_heads"],
        "head_dim": sizes["head"],
        "hidden_act": "silu",
        "max_position_embeddings": metadata.integer("context_length"),
        "rms_norm_eps": shortest(metadata.number("attention.layer_norm_rms_epsilon")),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": shortest(metadata.number("rope.freq_base", 10_000.0)),
        },
        **flags,
        **{name: value for name, value in vocabulary.special_ids.items() if value is not None},
    }


def generation_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return ``generation_config.json``: where a text begins and which tokens end it."""
    ends = vocabulary.end_ids
    found = {
        "bos_token_id": vocabulary.special_ids["bos_token_id"],
        "eos_token_id": ends[0] if len(ends) == 1 else list(ends) or None,
        "pad_token_id": vocabulary.special_ids["pad_token_id"],
    }
    return {name: value for name, value in found.items() if value is not None}


def shortest(value: float) -> float:
    """Return the shortest decimal that is the same float32: 1e-05 for 9.999999747378752e-06, as models state it."""
    for digits in range(1, 10):
        text = float(f"{value:.{digits}g}")
        if struct.pack("f", text) == struct.pack("f", value):
            return text
    return value
