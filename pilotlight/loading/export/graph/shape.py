"""Reads a model's configuration into the shape of a decoder, and refuses what the builder does not know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import PilotlightError

__all__ = ["FAMILIES", "DecoderShape", "UnsupportedModelError", "read_shape"]


class UnsupportedModelError(PilotlightError):
    """The builder does not know this model or one of its options; the exporter may."""


@dataclass(frozen=True, slots=True)
class Family:
    """What sets one ``model_type`` apart.

    Attributes:
        kv_heads: key and value heads where the configuration names none; ``None``: as many as query heads.
        head_dim: size of a head where the configuration names none; ``None``: the hidden size over the heads.
        qkv_bias: whether query, key and value projections have a bias whatever the configuration says.
        bias_options: whether ``attention_bias`` and ``mlp_bias`` are options of this family.
        head_norms: whether queries and keys are normalized per head.
        fused: whether query, key and value, and gate and up, are one tensor each.
        window: tokens of the sliding window where the configuration does not mention it; ``None``: no window.
        eps: of the normalization where the configuration names none.
    """

    kv_heads: int | None = None
    head_dim: int | None = None
    qkv_bias: bool = False
    bias_options: tuple[str, ...] = ()
    head_norms: bool = False
    fused: bool = False
    window: int | None = None
    eps: float = 1e-6


# The defaults are those of transformers' configuration classes.
FAMILIES: dict[str, Family] = {
    "llama": Family(bias_options=("attention_bias", "mlp_bias")),
    "mistral": Family(kv_heads=8, window=4096),
    "qwen2": Family(kv_heads=32, qkv_bias=True),
    "qwen3": Family(kv_heads=32, head_dim=128, bias_options=("attention_bias",), head_norms=True),
    "phi3": Family(fused=True, eps=1e-5),
}
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "phi3": "Phi3ForCausalLM",
}
# Entries that this module reads.
READ = {
    *("architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "head_dim", "hidden_act", "rms_norm_eps", "tie_word_embeddings"),
    *("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "max_position_embeddings"),
    *("attention_bias", "mlp_bias", "sliding_window", "use_sliding_window", "layer_types", "is_encoder_decoder"),
}
# Entries that do not change what a forward pass computes.
HARMLESS = {
    *("_attn_implementation", "_attn_implementation_autoset", "_model_name_or_path", "_name_or_path"),
    *("attention_dropout", "auto_map", "bos_token_id", "chunk_size_feed_forward", "cls_token_id", "dtype"),
    *("embd_pdrop", "eos_token_id", "finetuning_task", "hidden_dropout", "id2label", "initializer_range"),
    *("is_llama_config", "label2id", "max_window_layers", "model_name", "original_max_position_embeddings"),
    *("output_attentions", "output_hidden_states", "pad_token_id", "pretraining_tp", "problem_type"),
    *("resid_pdrop", "return_dict", "sep_token_id", "task_specific_params", "tokenizer_class", "torch_dtype"),
    *("torchscript", "transformers.js_config", "transformers_version", "unk_token_id", "unsloth_fixed"),
    *("unsloth_version", "use_bfloat16", "use_cache"),
}


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """A Llama-like decoder.

    Attributes:
        family: the ``model_type``.
        head_size: of each query, key and value head.
        eps: of the normalizations.
        tied: whether the configuration says that the head is the embedding.
        qkv_bias, output_bias: of the attention's projections.
        mlp_bias: of the three projections after it.
        head_norms: whether queries and keys are normalized per head.
        fused: whether the file holds query, key and value as one tensor, and gate and up as another.
        frequencies: of the rotary embedding, ``head_size / 2`` of them.
    """

    family: str
    layers: int
    vocab_size: int
    hidden_size: int
    inner_size: int
    heads: int
    kv_heads: int
    head_size: int
    eps: float
    tied: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    head_norms: bool
    fused: bool
    frequencies: tuple[float, ...]


def read_shape(config: Mapping[str, Any]) -> DecoderShape:
    """Return the shape that ``config``, a model's ``config.json``, describes.

    Raises:
        UnsupportedModelError: an architecture or an option that the builder does not know, by name.
    """
    name = config.get("model_type")
    family = FAMILIES.get(str(name))
    if family is None:
        raise UnsupportedModelError(f"no builder for model_type {name!r}: there is {', '.join(FAMILIES)}")
    _refuse_unknown(config, family)
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    kv_heads = _size(config, "num_key_value_heads", family.kv_heads or heads)
    head_size = _size(config, "head_dim", family.head_dim or hidden // heads)
    if heads % kv_heads or head_size % 2:
        raise UnsupportedModelError(f"{heads} heads of size {head_size} over {kv_heads} key heads")
    attention_bias = bool(config.get("attention_bias")) and "attention_bias" in family.bias_options
    return DecoderShape(
        family=str(name),
        layers=_size(config, "num_hidden_layers"),
        vocab_size=_size(config, "vocab_size"),
        hidden_size=hidden,
        inner_size=_size(config, "intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        eps=float(config.get("rms_norm_eps") or family.eps),
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=family.qkv_bias or attention_bias,
        output_bias=attention_bias,
        mlp_bias=bool(config.get("mlp_bias")) and "mlp_bias" in family.bias_options,
        head_norms=family.head_norms,
        fused=family.fused,
        frequencies=_frequencies(_rotary(config), head_size),
    )


def _refuse_unknown(config: Mapping[str, Any], family: Family) -> None:
    """Refuse every option that would change the result and is not built."""
    name = str(config["model_type"])
    architectures = config.get("architectures") or [ARCHITECTURES[name]]
    if architectures != [ARCHITECTURES[name]]:
        raise UnsupportedModelError(f"no builder for {', '.join(map(str, architectures))}")
    for key, value in config.items():
        if key not in READ | HARMLESS and value not in (None, False):
            raise UnsupportedModelError(f"config.json has {key} = {value!r}, which the builder does not know")
    for key in ("attention_bias", "mlp_bias"):
        if config.get(key) and key not in family.bias_options:
            raise UnsupportedModelError(f"{name} with {key}")
    if config.get("hidden_act", "silu") != "silu":
        raise UnsupportedModelError(f"hidden_act {config['hidden_act']!r}")
    if config.get("is_encoder_decoder"):
        raise UnsupportedModelError("an encoder-decoder")
    if set(config.get("layer_types") or ()) - {"full_attention"}:
        raise UnsupportedModelError(f"layer_types {sorted(set(config['layer_types']))}")
    window = config.get("sliding_window", family.window)
    if name in ("llama", "qwen2", "qwen3") and not config.get("use_sliding_window"):
        window = None
    positions = config.get("max_position_embeddings")
    if window is not None and not (isinstance(positions, int) and window >= positions):
        raise UnsupportedModelError(f"a sliding window of {window} tokens in a context of {positions}")


def _size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise UnsupportedModelError(f"config.json has {key} = {value!r}, which is not a positive whole number")
    return value


def _rotary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the rotary embedding, from where either version of transformers writes them."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(given, Mapping):
        raise UnsupportedModelError(f"rope parameters {given!r}")
    found = dict(given)
    kind = found.pop("rope_type", None) or found.pop("type", None) or "default"
    found.pop("type", None)
    theta = found.pop("rope_theta", None) or config.get("rope_theta") or 10_000.0
    partial = found.pop("partial_rotary_factor", None) or config.get("partial_rotary_factor") or 1.0
    if partial != 1:
        raise UnsupportedModelError(f"partial_rotary_factor {partial}")
    return {"kind": kind, "theta": float(theta), **found}


def _frequencies(rotary: dict[str, Any], head_size: int) -> tuple[float, ...]:
    """Return the rotary frequencies as transformers computes them, but in float64.

    Raises:
        UnsupportedModelError: a scaling, or a parameter of one, that is not built.
    """
    known = {
        "default": set(),
        "linear": {"factor"},
        "llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
    }
    kind, theta = rotary.pop("kind"), rotary.pop("theta")
    if kind not in known:
        raise UnsupportedModelError(f"rotary embeddings of type {kind!r}")
    if set(rotary) - {"original_max_position_embeddings"} - known[kind] or known[kind] - set(rotary):
        raise UnsupportedModelError(f"rotary embeddings of type {kind!r} with {', '.join(sorted(rotary)) or 'nothing'}")
    plain = [theta ** (-2 * i / head_size) for i in range(head_size // 2)]
    if kind == "default":
        return tuple(plain)
    factor = float(rotary["factor"])
    if kind == "linear":
        return tuple(frequency / factor for frequency in plain)
    return tuple(_llama3(frequency, factor, rotary) for frequency in plain)


def _llama3(frequency: float, factor: float, rotary: Mapping[str, Any]) -> float:
    """Return a frequency of Llama 3.1: long waves are stretched, short ones are not, those between are mixed."""
    low, high = float(rotary["low_freq_factor"]), float(rotary["high_freq_factor"])
    turns = float(rotary["original_max_position_embeddings"]) * frequency / (2 * math.pi)
    if turns < low:
        return frequency / factor
    if turns > high:
        return frequency
    smooth = (turns - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency
