"""What the builder knows of a configuration, and that it refuses everything else by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from pilotlight.loading.export.graph.shape import FAMILIES, UnsupportedModelError, read_shape

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_configuration_leaves_out_is_what_transformers_takes(name: str) -> None:
    theirs = AutoConfig.for_model(name)
    given = {key: LLAMA[key] for key in LLAMA if key != "architectures"} | {"model_type": name, "sliding_window": None}
    # Every default comes from their class but the sizes that are given above.
    given |= {"hidden_size": theirs.hidden_size, "num_attention_heads": theirs.num_attention_heads}
    shape = read_shape(given)
    head_size = getattr(theirs, "head_dim", None) or theirs.hidden_size // theirs.num_attention_heads
    assert (shape.kv_heads, shape.head_size) == (theirs.num_key_value_heads, head_size)
    assert (shape.eps, shape.tied) == (theirs.rms_norm_eps, theirs.tie_word_embeddings)
    assert shape.output_bias == getattr(theirs, "attention_bias", False)
    assert shape.frequencies[1] == pytest.approx(theirs.rope_parameters["rope_theta"] ** (-2 / head_size))


@pytest.mark.parametrize(
    "rotary",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}},
        {"rope_theta": 5e5},
        {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.5}},
        {"rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, **LLAMA3}},
    ],
)
def test_rotary_frequencies_are_those_of_transformers(rotary: dict[str, Any]) -> None:
    config = LlamaConfig(**LLAMA, **rotary)
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        theirs = 1 / config.rope_parameters["rope_theta"] ** (torch.arange(0, 16, 2) / 16)
    else:
        theirs = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))[0]
    assert read_shape({**LLAMA, **rotary}).frequencies == pytest.approx(theirs.tolist(), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma2"}, "no builder for model_type 'gemma2': there is llama, "),
        ({"model_type": None}, "no builder for model_type None"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "no builder for LlamaForSequenceClassification"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"quantization_config": {"bits": 4}}, "has quantization_config"),
        ({"final_logit_softcapping": 30.0}, "has final_logit_softcapping = 30.0, which the builder does not know"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rotary embeddings of type 'yarn'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "rotary embeddings of type 'dynamic'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "type 'linear' with nothing"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta": 1}}, "type 'linear' with beta, factor"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ({"num_key_value_heads": 3}, "4 heads of size 16 over 3 key heads"),
        ({"hidden_size": "64"}, "hidden_size = '64', which is not a positive whole number"),
        ({"model_type": "mistral", "architectures": None, "num_key_value_heads": 2, "max_position_embeddings": 8192},
         "a sliding window of 4096 tokens in a context of 8192"),
        ({"model_type": "qwen2", "architectures": None, "use_sliding_window": True, "sliding_window": 16},
         "a sliding window of 16 tokens"),
        ({"model_type": "qwen3", "architectures": None, "layer_types": ["sliding_attention"]}, "layer_types"),
        ({"model_type": "qwen2", "architectures": None, "attention_bias": True}, "qwen2 with attention_bias"),
    ],
)  # fmt: skip
def test_what_it_does_not_know_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        read_shape({**LLAMA, **changes})


def test_options_that_change_nothing_pass() -> None:
    read_shape({**LLAMA, "pretraining_tp": 1, "use_cache": True, "torch_dtype": "bfloat16", "rope_interleaved": False})
