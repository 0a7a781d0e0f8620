"""Tiny models of the families that the builder knows, with the options that it knows, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

from pilotlight.loading.export.graph.build import graph_files
from pilotlight.loading.files.artifacts import Artifact, artifact_name
from pilotlight.loading.progress import Silent
from scripts.train.make_bench_model import Shape, make_model
from tests.models import tiny_tokenizer

__all__ = ["FAMILIES", "built", "change_config", "make_family"]

SIZES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# By name: the configuration's class and what it says beside SIZES.
FAMILIES: dict[str, Shape] = {
    name: Shape(kind, SIZES | changes)
    for name, kind, changes in (
        ("llama", "LlamaConfig", {}),
        ("llama-tied", "LlamaConfig", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
        ("llama-biases", "LlamaConfig", {"attention_bias": True, "mlp_bias": True, "head_dim": 24}),
        ("llama3", "LlamaConfig", {"rope_parameters": LLAMA3}),
        ("llama-linear", "LlamaConfig", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}),
        ("mistral", "MistralConfig", {"sliding_window": None, "head_dim": 32}),
        ("qwen2", "Qwen2Config", {"rms_norm_eps": 1e-5}),
        ("qwen3", "Qwen3Config", {"head_dim": 32, "tie_word_embeddings": True, "num_key_value_heads": 1}),
        ("phi3", "Phi3Config", {}),
    )
}


def make_family(name: str, folder: Path) -> Path:
    """Make a model folder below ``folder``; its biases and norms are random too."""
    made = make_model(folder / name, FAMILIES[name], tiny_tokenizer(), dtype=torch.float32)
    model = transformers.AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(".bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            elif "norm" in key:
                parameter.copy_(1 + torch.randn(parameter.shape, generator=generator) * 0.3)
    model.save_pretrained(made)
    return made


def built(model: Path, precision: str = "fp32") -> Artifact:
    """Build the artifact in its place in ``model``, which no manifest lists."""
    artifact = Artifact(model / artifact_name("openvino", precision, "cpu"), "openvino", precision, "cpu")
    graph_files([(model, artifact.folder)], precision, {}, Silent())
    return artifact


def change_config(model: Path, **changes: object) -> None:
    """Change entries of ``config.json``; ``None`` stays there as null."""
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
