"""``config.json`` and ``generation_config.json`` from the metadata of a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.architectures import Architecture
from pilotlight.loading.gguf.metadata import Metadata, shortest
from pilotlight.loading.gguf.rope import rope_parameters
from pilotlight.loading.gguf.vocabulary import Vocabulary

# Settings that are read here or in rope.py, or that change nothing. A file with another one is refused: what it means
# would be lost in silence.
KNOWN = frozenset(
    {
        *("block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size"),
        *("expert_count", "expert_used_count", "tensor_data_layout", "attention.causal"),
        *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
        *("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"),
        *("rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor"),
        *("rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.finetuned"),
        *("rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"),
    }
)
KNOWN_OF: Mapping[str, frozenset[str]] = {
    "gemma2": frozenset({"attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window"}),
    "gemma3": frozenset(
        {
            *("final_logit_softcapping", "attention.sliding_window", "attention.sliding_window_pattern"),
            "rope.freq_base_swa",
        }
    ),
    "granite": frozenset({"attention.scale", "embedding_scale", "residual_scale", "logit_scale"}),
    "llama": frozenset({"attention.sliding_window"}),
    "phi3": frozenset({"attention.sliding_window"}),
    "stablelm": frozenset({"use_parallel_residual"}),
}
GEMMA2_27B_LAYERS, GEMMA3_27B_LAYERS = 46, 62  # whose queries are scaled by hidden size over heads: only they are
GEMMA3_PERIOD = 6  # five layers with a sliding window, then one without
PARTIAL_ROTATION = ("phi3", "stablelm")


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
    inner = metadata.integer("feed_forward_length")
    return {
        "layers": metadata.integer("block_count"),
        "heads": heads,
        "key_heads": key_heads,
        "vocabulary": vocabulary_rows,
        "hidden": hidden,
        "head": head,
        "queries": heads * head,
        "keys": key_heads * head,
        "queries_keys_values": (heads + 2 * key_heads) * head,
        "inner": inner,
        "inner_twice": 2 * inner,
        "context": metadata.integer("context_length"),
    }


def check_settings(metadata: Metadata) -> None:
    """Raise WeightsError where the file has a setting of its architecture that is not known."""
    prefix = f"{metadata.architecture}."
    known = KNOWN | KNOWN_OF.get(metadata.architecture, frozenset())
    unknown = sorted(
        key for key in metadata.entries if key.startswith(prefix) and key.removeprefix(prefix) not in known
    )
    if unknown:
        raise WeightsError(
            f"{metadata.where} has {', '.join(unknown[:4])}, which pilotlight does not know for this architecture: "
            "converted without, the model would give other answers"
        )
    if metadata.integer("expert_count", 0):
        raise WeightsError(f"{metadata.where} holds a mixture of experts, which pilotlight cannot convert")
    if not metadata.entries.get(f"{prefix}attention.causal", True):
        raise WeightsError(f"{metadata.where} holds an encoder: pilotlight converts models that generate text")


def model_config(
    metadata: Metadata,
    architecture: Architecture,
    sizes: Mapping[str, int],
    read: Mapping[str, Callable[[], Sequence[float]]],
) -> dict[str, Any]:
    """Return what ``config.json`` says about the model's shape and computation; ``read`` as of ``rope_parameters``."""
    if metadata.architecture == "gpt2":
        return _gpt2(metadata, architecture, sizes)
    own = _OWN.get(metadata.architecture)
    partial = metadata.architecture in PARTIAL_ROTATION
    return {
        "architectures": [architecture.model_class],
        "model_type": architecture.model_type,
        "vocab_size": sizes["vocabulary"],
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["inner"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["key_heads"],
        "head_dim": sizes["head"],
        "hidden_act": "silu",
        "max_position_embeddings": sizes["context"],
        **_epsilon(metadata),
        "rope_parameters": rope_parameters(metadata, sizes["head"], read, partial=partial),
        **({} if own is None else own(metadata, sizes)),
    }


def token_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the tokens of ``config.json``: null where there is none, because a class's default is of one model."""
    return dict(vocabulary.special_ids)


def generation_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return ``generation_config.json``: where a text begins and which tokens end it."""
    ends = vocabulary.end_ids
    found = {
        "bos_token_id": vocabulary.special_ids["bos_token_id"],
        "eos_token_id": ends[0] if len(ends) == 1 else list(ends) or None,
        "pad_token_id": vocabulary.special_ids["pad_token_id"],
    }
    return {name: value for name, value in found.items() if value is not None}


def _epsilon(metadata: Metadata) -> dict[str, Any]:
    if metadata.architecture == "stablelm":
        return {"layer_norm_eps": shortest(metadata.number("attention.layer_norm_epsilon"))}
    return {"rms_norm_eps": shortest(metadata.number("attention.layer_norm_rms_epsilon"))}


def _gpt2(metadata: Metadata, architecture: Architecture, sizes: Mapping[str, int]) -> dict[str, Any]:
    if sizes["heads"] != sizes["key_heads"]:
        raise WeightsError(f"{metadata.where} says fewer heads of keys than of queries, which GPT-2 does not have")
    return {
        "architectures": [architecture.model_class],
        "model_type": architecture.model_type,
        "vocab_size": sizes["vocabulary"],
        "n_embd": sizes["hidden"],
        "n_inner": sizes["inner"],
        "n_layer": sizes["layers"],
        "n_head": sizes["heads"],
        "n_positions": sizes["context"],
        "activation_function": "gelu_new",
        "layer_norm_epsilon": shortest(metadata.number("attention.layer_norm_epsilon")),
    }


def _llama(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    if not metadata.integer("attention.sliding_window", 0):
        return {}
    # Llama has no window; Mistral is Llama with one.
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "sliding_window": metadata.integer("attention.sliding_window"),
    }


def _gemma(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"}


def _gemma2(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": _cap(metadata, "attn_logit_softcapping"),
        "final_logit_softcapping": _cap(metadata, "final_logit_softcapping"),
        "sliding_window": metadata.integer("attention.sliding_window"),
        "query_pre_attn_scalar": _query_scalar(sizes, GEMMA2_27B_LAYERS),
    }


def _gemma3(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    window = metadata.integer("attention.sliding_window", 0)
    stated = metadata.entries.get("gemma3.attention.sliding_window_pattern", GEMMA3_PERIOD)
    slides = stated if isinstance(stated, list) else [(layer + 1) % stated > 0 for layer in range(sizes["layers"])]
    kinds = ["sliding_attention" if window and sliding else "full_attention" for sliding in slides]
    if len(kinds) != sizes["layers"]:
        raise WeightsError(f"{metadata.where} says for {len(kinds)} of {sizes['layers']} layers which have a window")
    local = {"rope_type": "default", "rope_theta": shortest(metadata.number("rope.freq_base_swa", 10_000.0))}
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "final_logit_softcapping": _cap(metadata, "final_logit_softcapping"),
        "attn_logit_softcapping": None,
        "sliding_window": window or sizes["context"],
        "layer_types": kinds,
        "query_pre_attn_scalar": _query_scalar(sizes, GEMMA3_27B_LAYERS),
        "rope_parameters": {
            "full_attention": rope_parameters(metadata, sizes["head"], {}, partial=False),
            "sliding_attention": local,
        },
    }


def _query_scalar(sizes: Mapping[str, int], layers_of_27b: int) -> int:
    return sizes["hidden"] // sizes["heads"] if sizes["layers"] == layers_of_27b else sizes["head"]


def _cap(metadata: Metadata, key: str) -> float | None:
    return shortest(metadata.number(key)) if metadata.has(key) else None


def _phi3(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    original = metadata.integer("rope.scaling.original_context_length", sizes["context"])
    window = metadata.integer("attention.sliding_window", 0)
    # A window as long as the context is how converters write that there is none.
    return {
        "original_max_position_embeddings": original,
        "sliding_window": window if 0 < window < sizes["context"] else None,
    }


def _granite(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    keys = {
        "attention_multiplier": "attention.scale",
        "embedding_multiplier": "embedding_scale",
        "residual_multiplier": "residual_scale",
        "logits_scaling": "logit_scale",
    }
    return {name: shortest(metadata.number(key)) for name, key in keys.items()}


def _stablelm(metadata: Metadata, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {"use_parallel_residual": False, "qk_layernorm": False}  # the other kind lacks ffn_norm and is refused


_OWN: Mapping[str, Callable[[Metadata, Mapping[str, int]], dict[str, Any]]] = {
    "llama": _llama,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "phi3": _phi3,
    "granite": _granite,
    "stablelm": _stablelm,
}
