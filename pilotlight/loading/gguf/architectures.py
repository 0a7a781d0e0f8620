"""How the tensors of each supported architecture are named, shaped and stored, in GGUF and in transformers.

Source of the names: ``gguf.tensor_mapping``, which a test compares with these tables. Source of the changes that are
undone here (rows of q and k in another order, norms with one added): llama.cpp's ``convert_hf_to_gguf.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pilotlight.errors import WeightsError

Change = Literal["", "interleaved_q", "interleaved_k"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor goes.

    Attributes:
        name: in transformers; a layer's without ``model.layers.N.``.
        shape: the names of its dimensions, keys of ``sizes`` in ``tensors.py``.
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
        unused: tensors that hold nothing that transformers loads.
    """

    model_class: str
    model_type: str
    layer: Places
    outside: Places
    choices: Mapping[str, Places] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()


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

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture(
        "LlamaForCausalLM",
        "llama",
        {**TWO_NORMS, **ATTENTION, **INTERLEAVED, **GATED},
        OUTSIDE,
        {"attention_bias": {**ATTENTION_BIAS, **INTERLEAVED_BIAS}, "mlp_bias": GATED_BIAS},
    ),
    "qwen2": Architecture("Qwen2ForCausalLM", "qwen2", {**TWO_NORMS, **ATTENTION, **QKV_BIAS, **GATED}, OUTSIDE),
    "qwen3": Architecture(
        "Qwen3ForCausalLM",
        "qwen3",
        {**TWO_NORMS, **ATTENTION, **HEAD_NORMS, **GATED},
        OUTSIDE,
        {"attention_bias": ATTENTION_BIAS},
    ),
}
