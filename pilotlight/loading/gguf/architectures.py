"""How the tensors of each supported architecture are named, shaped and stored, in GGUF and in transformers.

Source of the names: ``gguf.tensor_mapping``, which a test compares with these tables. Source of the changes that are
undone here (rows of q and k in another order, norms with one added): llama.cpp's ``convert_hf_to_gguf.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pilotlight.errors import WeightsError

Change = Literal["", "interleaved_q", "interleaved_k", "one_added", "transposed"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor goes.

    Attributes:
        name: in transformers; a layer's without the prefix of the layer.
        shape: the names of its dimensions in the GGUF file, as ``model_sizes`` in ``config.py`` gives them.
        change: what llama.cpp's converter did to it.
    """

    name: str
    shape: tuple[str, ...]
    change: Change = ""


Places = Mapping[str, Place]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture: transformers' class and type, and where its tensors go, by their names in GGUF.

    Attributes:
        outside: the tensors outside the layers, without the head, which a tied model lacks.
        layer: the tensors that each layer has, without ``blk.N.``.
        choices: tensors that all layers have or none, by the flag of ``config.json`` that says which.
        rope: tensors that ``rope.py`` reads into ``config.json``.
        prefix: what precedes the number of a layer in transformers.
    """

    model_class: str
    model_type: str
    layer: Places
    outside: Places
    choices: Mapping[str, Places] = field(default_factory=dict)
    rope: frozenset[str] = frozenset()
    prefix: str = "model.layers."


def find_architecture(name: str, where: str) -> Architecture:
    """Return the architecture ``name``, as GGUF calls it.

    Raises:
        WeightsError: it is not supported; the message lists those that are.
    """
    if name not in ARCHITECTURES:
        raise WeightsError(
            f"{where} holds a model of the architecture {name!r}, which pilotlight cannot convert. It can convert: "
            f"{', '.join(sorted(ARCHITECTURES))}. Use the original model folder (safetensors) instead"
        )
    return ARCHITECTURES[name]


HEAD = {"output.weight": Place("lm_head.weight", ("vocabulary", "hidden"))}
OUTSIDE = {
    "token_embd.weight": Place("model.embed_tokens.weight", ("vocabulary", "hidden")),
    "output_norm.weight": Place("model.norm.weight", ("hidden",)),
}
ATTENTION = {
    "attn_q.weight": Place("self_attn.q_proj.weight", ("queries", "hidden")),
    "attn_k.weight": Place("self_attn.k_proj.weight", ("keys", "hidden")),
    "attn_v.weight": Place("self_attn.v_proj.weight", ("keys", "hidden")),
    "attn_output.weight": Place("self_attn.o_proj.weight", ("hidden", "queries")),
}
QKV_BIAS = {
    "attn_q.bias": Place("self_attn.q_proj.bias", ("queries",)),
    "attn_k.bias": Place("self_attn.k_proj.bias", ("keys",)),
    "attn_v.bias": Place("self_attn.v_proj.bias", ("keys",)),
}
ATTENTION_BIAS = {**QKV_BIAS, "attn_output.bias": Place("self_attn.o_proj.bias", ("hidden",))}
INTERLEAVED = {
    "attn_q.weight": Place("self_attn.q_proj.weight", ("queries", "hidden"), "interleaved_q"),
    "attn_k.weight": Place("self_attn.k_proj.weight", ("keys", "hidden"), "interleaved_k"),
}
INTERLEAVED_BIAS = {
    "attn_q.bias": Place("self_attn.q_proj.bias", ("queries",), "interleaved_q"),
    "attn_k.bias": Place("self_attn.k_proj.bias", ("keys",), "interleaved_k"),
}
HEAD_NORMS = {
    "attn_q_norm.weight": Place("self_attn.q_norm.weight", ("head",)),
    "attn_k_norm.weight": Place("self_attn.k_norm.weight", ("head",)),
}
GATED = {
    "ffn_gate.weight": Place("mlp.gate_proj.weight", ("inner", "hidden")),
    "ffn_up.weight": Place("mlp.up_proj.weight", ("inner", "hidden")),
    "ffn_down.weight": Place("mlp.down_proj.weight", ("hidden", "inner")),
}
GATED_BIAS = {
    "ffn_gate.bias": Place("mlp.gate_proj.bias", ("inner",)),
    "ffn_up.bias": Place("mlp.up_proj.bias", ("inner",)),
    "ffn_down.bias": Place("mlp.down_proj.bias", ("hidden",)),
}
TWO_NORMS = {
    "attn_norm.weight": Place("input_layernorm.weight", ("hidden",)),
    "ffn_norm.weight": Place("post_attention_layernorm.weight", ("hidden",)),
}

FOUR_NORMS = {
    "attn_norm.weight": Place("input_layernorm.weight", ("hidden",)),
    "post_attention_norm.weight": Place("post_attention_layernorm.weight", ("hidden",)),
    "ffn_norm.weight": Place("pre_feedforward_layernorm.weight", ("hidden",)),
    "post_ffw_norm.weight": Place("post_feedforward_layernorm.weight", ("hidden",)),
}
NORMS_AFTER = {
    "attn_q_norm.weight": Place("self_attn.q_norm.weight", ("queries",)),
    "attn_k_norm.weight": Place("self_attn.k_norm.weight", ("keys",)),
    "post_attention_norm.weight": Place("post_attention_layernorm.weight", ("hidden",)),
    "post_ffw_norm.weight": Place("post_feedforward_layernorm.weight", ("hidden",)),
}
PHI3 = {
    **TWO_NORMS,
    "attn_qkv.weight": Place("self_attn.qkv_proj.weight", ("queries_keys_values", "hidden")),
    "attn_output.weight": ATTENTION["attn_output.weight"],
    "ffn_up.weight": Place("mlp.gate_up_proj.weight", ("inner_twice", "hidden")),
    "ffn_down.weight": GATED["ffn_down.weight"],
}
GPT2_OUTSIDE = {
    "token_embd.weight": Place("transformer.wte.weight", ("vocabulary", "hidden")),
    "position_embd.weight": Place("transformer.wpe.weight", ("context", "hidden")),
    "output_norm.weight": Place("transformer.ln_f.weight", ("hidden",)),
    "output_norm.bias": Place("transformer.ln_f.bias", ("hidden",)),
}
GPT2 = {
    "attn_norm.weight": Place("ln_1.weight", ("hidden",)),
    "attn_norm.bias": Place("ln_1.bias", ("hidden",)),
    "attn_qkv.weight": Place("attn.c_attn.weight", ("queries_keys_values", "hidden"), "transposed"),
    "attn_qkv.bias": Place("attn.c_attn.bias", ("queries_keys_values",)),
    "attn_output.weight": Place("attn.c_proj.weight", ("hidden", "queries"), "transposed"),
    "attn_output.bias": Place("attn.c_proj.bias", ("hidden",)),
    "ffn_norm.weight": Place("ln_2.weight", ("hidden",)),
    "ffn_norm.bias": Place("ln_2.bias", ("hidden",)),
    "ffn_up.weight": Place("mlp.c_fc.weight", ("inner", "hidden"), "transposed"),
    "ffn_up.bias": Place("mlp.c_fc.bias", ("inner",)),
    "ffn_down.weight": Place("mlp.c_proj.weight", ("hidden", "inner"), "transposed"),
    "ffn_down.bias": Place("mlp.c_proj.bias", ("hidden",)),
}


def _biased(places: Places) -> dict[str, Place]:
    """Return norms with their biases."""
    biases = {
        name.replace(".weight", ".bias"): Place(place.name.replace(".weight", ".bias"), place.shape)
        for name, place in places.items()
        if "norm" in name
    }
    return {**places, **biases}


def _one_added(places: Places) -> dict[str, Place]:
    """Return places whose norms are stored with one added."""
    return {
        name: Place(place.name, place.shape, "one_added") if name.endswith("norm.weight") else place
        for name, place in places.items()
    }


ROPE_FREQUENCIES = frozenset({"rope_freqs.weight"})
LLAMA_LAYER = {**TWO_NORMS, **ATTENTION, **INTERLEAVED, **GATED}
LLAMA_CHOICES = {"attention_bias": {**ATTENTION_BIAS, **INTERLEAVED_BIAS}, "mlp_bias": GATED_BIAS}
GEMMA_OUTSIDE = _one_added(OUTSIDE)

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("LlamaForCausalLM", "llama", LLAMA_LAYER, OUTSIDE, LLAMA_CHOICES, ROPE_FREQUENCIES),
    "smollm3": Architecture("SmolLM3ForCausalLM", "smollm3", LLAMA_LAYER, OUTSIDE, LLAMA_CHOICES),
    "granite": Architecture("GraniteForCausalLM", "granite", LLAMA_LAYER, OUTSIDE, LLAMA_CHOICES),
    "qwen2": Architecture("Qwen2ForCausalLM", "qwen2", {**TWO_NORMS, **ATTENTION, **QKV_BIAS, **GATED}, OUTSIDE),
    "qwen3": Architecture(
        "Qwen3ForCausalLM",
        "qwen3",
        {**TWO_NORMS, **ATTENTION, **HEAD_NORMS, **GATED},
        OUTSIDE,
        {"attention_bias": ATTENTION_BIAS},
    ),
    "gemma": Architecture("GemmaForCausalLM", "gemma", _one_added({**TWO_NORMS, **ATTENTION, **GATED}), GEMMA_OUTSIDE),
    "gemma2": Architecture(
        "Gemma2ForCausalLM", "gemma2", _one_added({**FOUR_NORMS, **ATTENTION, **GATED}), GEMMA_OUTSIDE
    ),
    "gemma3": Architecture(
        "Gemma3ForCausalLM",
        "gemma3_text",
        _one_added({**FOUR_NORMS, **ATTENTION, **HEAD_NORMS, **GATED}),
        GEMMA_OUTSIDE,
    ),
    "phi3": Architecture(
        "Phi3ForCausalLM",
        "phi3",
        PHI3,
        OUTSIDE,
        rope=frozenset({"rope_factors_long.weight", "rope_factors_short.weight"}),
    ),
    "stablelm": Architecture(
        "StableLmForCausalLM",
        "stablelm",
        _biased({**TWO_NORMS, **ATTENTION, **GATED}),
        _biased(OUTSIDE),
        {"use_qkv_bias": QKV_BIAS},
    ),
    "olmo2": Architecture("Olmo2ForCausalLM", "olmo2", {**NORMS_AFTER, **ATTENTION, **GATED}, OUTSIDE),
    "gpt2": Architecture("GPT2LMHeadModel", "gpt2", GPT2, GPT2_OUTSIDE, prefix="transformer.h."),
}
