"""Every architecture: a tiny model written as GGUF and converted gives the logits of the model it was written from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM, PreTrainedModel

from pilotlight.errors import WeightsError
from pilotlight.loading.files.loadable import check_loadable
from pilotlight.loading.gguf.architectures import ARCHITECTURES, HEAD
from pilotlight.loading.gguf.convert import convert_gguf
from tests.loading.gguf.files import byte_words, describe_config, gguf_of, random_norms, tensors_of, write_gguf

VOCABULARY = len(byte_words().tokens)
IDS = torch.arange(1, 41)[None] * 11 % VOCABULARY
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
WIDE_HEADS = {"head_dim": 32}
CAPS = {"attn_logit_softcapping": 20.0, "final_logit_softcapping": 15.0, "query_pre_attn_scalar": 32}
MULTIPLIERS = {
    "attention_multiplier": 0.3,
    "embedding_multiplier": 1.5,
    "residual_multiplier": 0.7,
    "logits_scaling": 2.0,
}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "LlamaConfig", {}),
    "llama, tied": ("llama", "LlamaConfig", {"tie_word_embeddings": True}),
    "llama, biases": ("llama", "LlamaConfig", {"attention_bias": True, "mlp_bias": True}),
    "llama, wide heads": ("llama", "LlamaConfig", WIDE_HEADS),
    "mistral": ("llama", "MistralConfig", {"sliding_window": 16}),
    "smollm3": ("smollm3", "SmolLM3Config", {"num_hidden_layers": 5}),
    "granite": ("granite", "GraniteConfig", MULTIPLIERS),
    "qwen2": ("qwen2", "Qwen2Config", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", "Qwen3Config", WIDE_HEADS),
    "gemma": ("gemma", "GemmaConfig", {**WIDE_HEADS, "tie_word_embeddings": True}),
    "gemma2": ("gemma2", "Gemma2Config", {**WIDE_HEADS, **CAPS, "sliding_window": 16, "tie_word_embeddings": True}),
    "gemma3": (
        "gemma3",
        "Gemma3TextConfig",
        {
            **WIDE_HEADS,
            "query_pre_attn_scalar": 32,
            "sliding_window": 16,
            "num_hidden_layers": 7,
            "tie_word_embeddings": True,
        },
    ),
    "phi3": ("phi3", "Phi3Config", {}),
    "stablelm": ("stablelm", "StableLmConfig", {}),
    "stablelm, biases": ("stablelm", "StableLmConfig", {"use_qkv_bias": True}),
    "olmo2": ("olmo2", "Olmo2Config", {}),
    "gpt2": ("gpt2", "GPT2Config", {"n_positions": 64}),
}


def make(config: str, **settings: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    wanted = {**COMMON, **settings}
    if config == "GPT2Config":
        del wanted["num_key_value_heads"], wanted["intermediate_size"], wanted["max_position_embeddings"]
    model: PreTrainedModel = AutoModelForCausalLM.from_config(getattr(transformers, config)(**wanted))
    return random_norms(model.eval())


def describe(writer: GGUFWriter, architecture: str, settings: dict[str, Any]) -> None:
    """Write the settings that the architecture's converter writes beside those of all."""
    if architecture in ("llama", "smollm3", "granite"):
        writer.add_rope_dimension_count(settings.get("head_dim", 16))
    if architecture == "granite":
        writer.add_attention_scale(settings["attention_multiplier"])
        writer.add_embedding_scale(settings["embedding_multiplier"])
        writer.add_residual_scale(settings["residual_multiplier"])
        writer.add_logit_scale(settings["logits_scaling"])
    if "sliding_window" in settings:
        writer.add_sliding_window(settings["sliding_window"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(settings["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(settings["final_logit_softcapping"])
    if architecture == "phi3":
        writer.add_rope_dimension_count(16)
    if architecture == "stablelm":
        writer.add_rope_dimension_count(4)
        writer.add_parallel_residual(False)


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


@pytest.mark.parametrize("name", MODELS)
def test_the_folder_computes_what_the_model_computes(name: str, tmp_path: Path) -> None:
    architecture, config, settings = MODELS[name]
    model = make(config, **settings)
    file = gguf_of(
        model, tmp_path / "m.gguf", architecture, describe=lambda writer: describe(writer, architecture, settings)
    )
    convert_gguf(file, tmp_path / "m", dtype="float32")
    check_loadable(tmp_path / "m")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
    assert type(ours) is type(model)
    # One added to a norm and taken off again costs the last bit.
    tolerance = 1e-4 if architecture.startswith("gemma") else 0
    torch.testing.assert_close(logits(ours), logits(model), rtol=tolerance, atol=tolerance)


def test_names_are_those_of_the_gguf_package() -> None:
    for name, architecture in ARCHITECTURES.items():
        (number,) = (one for one, known in gguf.MODEL_ARCH_NAMES.items() if known == name)
        names = gguf.get_tensor_name_map(number, 3)
        layer = {**architecture.layer}
        for choice in architecture.choices.values():
            layer |= choice
        head = {} if name in ("gemma", "gemma2") else HEAD  # theirs is tied, and llama.cpp knows no other
        pairs = {place.name: there for there, place in {**architecture.outside, **head}.items()}
        pairs |= {f"{architecture.prefix}2.{place.name}": f"blk.2.{there}" for there, place in layer.items()}
        for ours, there in pairs.items():
            assert names.get_name(ours, try_suffixes=(".weight", ".bias")) == there, (name, ours)


def test_an_unknown_architecture_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    file = gguf_of(make("LlamaConfig"), tmp_path / "m.gguf", "llama")
    file.write_bytes(file.read_bytes().replace(b"llama", b"mamba"))
    with pytest.raises(WeightsError, match=r"'mamba', which pilotlight cannot convert\. It can convert: gemma, gemma2"):
        convert_gguf(file, tmp_path / "m")


def test_a_setting_that_is_not_known_is_refused(tmp_path: Path) -> None:
    def more(writer: GGUFWriter) -> None:
        writer.add_uint32("qwen3.attention.temperature_length", 8192)

    file = gguf_of(make("Qwen3Config", **WIDE_HEADS), tmp_path / "m.gguf", "qwen3", describe=more)
    with pytest.raises(WeightsError, match=r"qwen3\.attention\.temperature_length, which pilotlight does not know"):
        convert_gguf(file, tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: names.pop("blk.1.ffn_up.weight"), r"lacks 1 tensor \(blk\.1\.ffn_up\.weight\)"),
        (lambda names: names.pop("output_norm.weight"), r"lacks 1 tensor \(output_norm\.weight\)"),
        (
            lambda names: names.update({f"blk.{i}.attn_q.bias": names["output_norm.weight"] for i in range(2)}),
            r"lacks 6 tensors \(blk\.0\.attn_k\.bias, .* and 2 more\)",
        ),
        (
            lambda names: names.update({"blk.0.ffn_gate_inp.weight": names["output_norm.weight"]}),
            r"has 1 tensor \(blk\.0\.ffn_gate_inp\.weight\) that pilotlight cannot place",
        ),
        (
            lambda names: names.update({"blk.0.attn_k.weight": names["blk.0.attn_q.weight"]}),
            r"'blk\.0\.attn_k\.weight' with the shape \[64, 64\], and its metadata says \[32, 64\]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    model = make("LlamaConfig")
    tensors = tensors_of(model, "llama")
    change(tensors)
    file = write_gguf(
        tmp_path / "m.gguf", "llama", tensors, describe=lambda writer: describe_config(writer, model.config)
    )
    with pytest.raises(WeightsError, match=message):
        convert_gguf(file, tmp_path / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.gguf"]


def test_config_states_every_token(tmp_path: Path) -> None:
    file = gguf_of(make("Phi3Config"), tmp_path / "m.gguf", "phi3")
    convert_gguf(file, tmp_path / "m")
    config = json.loads((tmp_path / "m/config.json").read_text())
    assert (config["eos_token_id"], config["pad_token_id"]) == (0, None)
    assert re.fullmatch("Phi3ForCausalLM", config["architectures"][0])
