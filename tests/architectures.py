"""Tiny models of every architecture that transformers can load as a causal language model.

    from tests.architectures import tiny_architecture, tiny_config

    tiny_config(model_type: str) -> PretrainedConfig
    tiny_architecture(model_type: str, folder: Path) -> Path

One recipe for all: small values for every setting that a configuration class has by a usual name, and a few settings
more for those whose parts have to fit each other, or that would have only one of their kinds of layers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from scripts.train.make_bench_model import EOS, fill_vocabulary
from tests.models import tiny_tokenizer

__all__ = ["CONTEXT", "VOCAB", "tiny_architecture", "tiny_config", "tiny_model_of", "write_model"]

VOCAB = 512
CONTEXT = 256
WINDOW = 16  # short enough that a prompt outgrows it


def _same(value: object, *names: str) -> dict[str, object]:
    return dict.fromkeys(names, value)


# What a configuration class calls the same thing.
SMALL: dict[str, Any] = {
    **_same(VOCAB, "vocab_size", "vocab_size_per_layer_input"),
    **_same(64, "hidden_size", "d_model", "n_embd", "word_embed_proj_dim", "embedding_size", "emb_dim", "lru_width"),
    **_same(64, "attention_hidden_size", "embedding_dim", "input_embedding_size", "output_embedding_size"),
    **_same(2, "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "num_decoder_layers"),
    **_same(2, "num_blocks"),
    **_same(4, "num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"),
    **_same(4, "num_decoder_attention_heads", "swa_num_attention_heads", "attention_heads"),
    **_same(2, "num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads"),
    **_same(16, "head_dim", "query_pre_attn_scalar", "kv_channels", "dim_head", "attention_head_dim", "swa_head_dim"),
    **_same(16, "global_head_dim", "linear_head_dim", "linear_key_head_dim", "linear_value_head_dim"),
    **_same(96, "intermediate_size", "ffn_dim", "n_inner", "dff", "decoder_ffn_dim", "ffn_hidden_size", "dim_ff"),
    **_same(96, "intermediate_size_mlp", "expert_ffn_hidden_size"),
    **_same(32, "moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"),
    **_same(32, "shared_experts_intermediate_size", "q_lora_rank", "moe_shared_expert_intermediate_size"),
    **_same(CONTEXT, "max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "max_target_positions"),
    **_same(CONTEXT, "original_max_position_embeddings", "context_length", "model_max_length"),
    **_same(WINDOW, "sliding_window", "sliding_window_size", "window_size", "attention_window_size", "index_topk"),
    **_same(WINDOW, "attention_chunk_size", "local_attention", "mamba_chunk_size", "chunk_size"),
    **_same(4, "num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts", "zero_expert_num"),
    **_same(2, "num_experts_per_tok", "moe_topk", "moe_k", "num_experts_per_token"),
    **_same(1, "n_group", "topk_group", "n_shared_experts", "moe_num_shared_experts", "num_expert_group"),
    **_same(16, "kv_lora_rank", "v_head_dim", "qk_nope_head_dim", "state_size", "ssm_state_size"),
    **_same(8, "qk_rope_head_dim", "mamba_d_state", "index_head_dim", "hidden_size_per_layer_input", "rotary_dim"),
    **_same(24, "qk_head_dim"),
    **_same(2, "linear_num_key_heads", "index_n_heads", "linear_num_heads", "n_mamba_heads"),
    **_same(4, "linear_num_value_heads", "mamba_n_heads", "mamba_num_heads", "time_step_rank"),
    # Trained weights start from about 0.02, where two layers hardly change their input and one token repeats.
    **_same(0.4, "initializer_range", "init_std"),
    **_same(False, "tie_word_embeddings"),
    **_same(0, "pad_token_id", "bos_token_id", "eos_token_id"),
    **_same(True, "is_decoder"),
}
# A setting that the class computes by itself.
COMPUTED = object()
SLIDING: dict[str, Any] = {"layer_types": ["sliding_attention", "full_attention"]}
LINEAR: dict[str, Any] = {"layer_types": ["linear_attention", "full_attention"]}
LATENT: dict[str, Any] = {"head_dim": COMPUTED, "num_key_value_heads": 4}

SPECIAL: dict[str, dict[str, Any]] = {
    "afmoe": SLIDING,
    "axk1": LATENT,
    "axk2": LATENT,
    "bailing_hybrid": LINEAR | LATENT,
    "bamba": {"attn_layer_indices": [1], "mamba_d_head": 32, "mamba_n_heads": 4},
    "cohere2": SLIDING,
    "cohere2_moe": SLIDING,
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT,
    "dots3_note_text": {"num_key_value_heads": 4},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8},
        "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "ernie4_5_moe": {"moe_layer_end_index": 1},
    "exaone4": SLIDING,
    "exaone_moe": SLIDING,
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_d_head": 16, "mamba_n_heads": 4},
    "gemma3_text": SLIDING,
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.0] * 4,
    },
    "gemma4_text": {"num_kv_shared_layers": 0} | SLIDING,
    "gemma4_unified_text": {"num_kv_shared_layers": 0} | SLIDING,
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "mamba_d_head": 32, "mamba_n_heads": 4},
    "hrm_text": {"initializer_range": 0.1},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "kimi_linear": LINEAR | LATENT,
    "kolibri1": SLIDING,
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    "llama4_text": {"layer_types": ["chunked_attention", "full_attention"]},
    "longcat_flash": LATENT,
    "mamba2": {"num_heads": 8, "head_dim": 16},
    "mellum": SLIDING,
    "minicpm3": LATENT,
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
        "num_hidden_layers": 4,
        "mamba_num_heads": 4,
        "mamba_head_dim": 32,
        "n_groups": 1,
    },
    "olmo3": SLIDING,
    "ministral": SLIDING,
    "qwen3_5_moe_text": LINEAR,
    "qwen3_5_text": LINEAR,
    "qwen3_next": LINEAR,
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "indexed_attention"],
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 16,
        "indexer_compress_ratio": 4,
    },
    "recurrent_gemma": {"num_hidden_layers": 3},
    "xlstm": {"head_dim": COMPUTED, "v_head_dim": COMPUTED, "qk_head_dim": COMPUTED},
    "xmod": {"default_language": "en_XX"},
    "youtu": LATENT,
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"], "attention_head_dim": 32},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"], "mamba_headdim": 64, "adapter_rank": 8},
    "zaya": {"num_experts_per_tok": 1},
}


def tiny_config(model_type: str, **settings: Any) -> PretrainedConfig:
    """Return a configuration of two layers of 64; ``settings`` come on top of the recipe's."""
    kind = CONFIG_MAPPING[model_type]
    known = kind().to_dict()
    chosen = {name: value for name, value in SMALL.items() if name in known} | SPECIAL.get(model_type, {}) | settings
    return kind(**{name: value for name, value in chosen.items() if value is not COMPUTED})


def tiny_architecture(model_type: str, folder: Path, seed: int = 0, **settings: Any) -> Path:
    """Write a model folder of random weights with the tests' tokenizer, and return ``folder``."""
    write_model(tiny_model_of(model_type, seed, **settings), folder)
    return folder


def tiny_model_of(model_type: str, seed: int = 0, **settings: Any) -> Any:
    """Return a model of random weights in float32, in evaluation mode."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(tiny_config(model_type, **settings), dtype=torch.float32).eval()


def write_model(model: Any, folder: Path) -> None:
    """Write a model's weights and configuration, and the tests' tokenizer."""
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tiny_vocabulary(), eos_token=EOS, pad_token=EOS, model_max_length=CONTEXT
    ).save_pretrained(folder)


@cache
def tiny_vocabulary() -> Tokenizer:
    """Return the tests' tokenizer with a text for every token id."""
    return fill_vocabulary(tiny_tokenizer(), VOCAB)
