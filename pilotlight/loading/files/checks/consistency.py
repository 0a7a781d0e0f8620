"""Whether a checkpoint's tensors are those of the model in its ``config.json``, as far as headers show it.

transformers fills a tensor that is missing with random numbers and drops one that it has no place for. The torch engine
compares every tensor with the model (``engines.torch.load_mapped``); the rules here need no torch, so that a fetch, a
verification and a start on another engine find the usual faults. They are exact for the families in ``UNIFORM`` and
say nothing about tensors that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.files.checkpoint import Checkpoint, plain_names
from pilotlight.loading.files.checks.architecture import architectures
from pilotlight.loading.files.header import TensorInfo
from pilotlight.loading.files.wording import some, tensors_of

__all__ = ["require_consistent"]

# Families whose layers all hold the same tensors, and whether their head is tied where config.json does not say.
UNIFORM = {
    "cohere": True,
    "cohere2": True,
    "gemma": True,
    "gemma2": True,
    "gemma3_text": True,
    "gpt2": True,
    "gpt_neox": False,
    "granite": False,
    "llama": False,
    "mistral": False,
    "mixtral": False,
    "olmo": False,
    "olmo2": False,
    "opt": True,
    "phi": False,
    "phi3": False,
    "qwen2": False,
    "qwen3": False,
    "smollm3": True,
    "stablelm": False,
    "starcoder2": True,
}
HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.(.+)")
# Buffers that older versions of transformers saved with the weights: every version computes them anew.
BUFFERS = re.compile(r"(?:^|\.)(?:inv_freq|masked_bias|attn\.bias|attention\.bias|position_ids)$")
FLOATS = ("F64", "F32", "F16", "BF16")
# What tools that quantise call the tensors that take a weight's place.
PACKED = re.compile(r"(?:weight|qweight|qzeros|weight_packed|blocks|codes)$")


def require_consistent(folder: Path, config: dict[str, Any], checkpoint: Checkpoint, *, quantized: bool) -> None:
    """Compare the tensors of ``folder`` with its configuration.

    Args:
        folder: the model's, for messages.
        config: its ``config.json``.
        checkpoint: its tensors.
        quantized: whether the configuration says that the weights are quantised: their names and shapes are others.

    Raises:
        WeightsError: naming the tensors.
    """
    try:
        plain = plain_names(checkpoint.tensors)
    except WeightsError as error:
        raise WeightsError(f"{folder}: {error}") from error
    tensors = {plain[name]: info for name, info in checkpoint.tensors.items() if not BUFFERS.search(name)}
    adapters = sorted(name for name in tensors if ".lora_A." in name or ".lora_B." in name)
    if adapters:
        raise WeightsError(
            f"{folder} holds an adapter that was not merged into its model: {tensors_of(adapters)}; call peft's "
            "merge_and_unload() and save the result"
        )
    if not quantized:
        _require_floats(folder, tensors)
    family = str(config.get("model_type"))
    generates = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures(config))
    if family in UNIFORM and generates:
        _require_layers(folder, config, tensors, alike=not quantized)
        # sentence-transformers saves the body of such a model, which embeds.
        embeds = any((place / "modules.json").is_file() for place in (folder, folder.parent))
        _require_head(folder, config, tensors, embeds=embeds)
        if not quantized:
            _require_vocabulary(folder, config, tensors)


def _require_floats(folder: Path, tensors: dict[str, TensorInfo]) -> None:
    packed = sorted(name for name, info in tensors.items() if info.dtype not in FLOATS and PACKED.search(name))
    if packed:
        raise WeightsError(
            f"{folder} holds quantised weights ({tensors[packed[0]].dtype}), and config.json has no "
            f"quantization_config that says how to read them: {tensors_of(packed)}; fetch the whole checkpoint, or "
            "take the one that was quantised"
        )
    empty = sorted(name for name, info in tensors.items() if 0 in info.shape and name.endswith("weight"))
    if empty:
        raise WeightsError(
            f"{folder} holds empty weights: {tensors_of(empty)}; they were saved from a part of a distributed model, "
            "so save the gathered one"
        )


def _require_layers(folder: Path, config: dict[str, Any], tensors: dict[str, TensorInfo], *, alike: bool) -> None:
    """Refuse another number of layers than the configuration's and, if all are ``alike``, one that lacks a tensor."""
    key = next((key for key in ("num_hidden_layers", "n_layer") if isinstance(config.get(key), int)), None)
    layers: dict[int, set[str]] = {}
    for name in tensors:
        if match := LAYER.search(name):
            layers.setdefault(int(match[1]), set()).add(match[2])
    if key is None or not layers:
        return
    expected = set(range(config[key]))
    missing, surplus = sorted(expected - layers.keys()), sorted(layers.keys() - expected)
    stated = f"the {len(expected)} layers that config.json states ({key})"
    if missing:
        raise WeightsError(
            f"{folder} lacks {len(missing)} of {stated}: number {some(map(str, missing))}; fetch it again"
        )
    if surplus:
        raise WeightsError(
            f"{folder} holds {len(surplus)} more than {stated}: number {some(map(str, surplus))}; take the config.json "
            "that belongs to the weights"
        )
    whole = set().union(*layers.values()) if alike else set[str]()
    lacking = [f"layers.{number}.{name}" for number in sorted(layers) for name in sorted(whole - layers[number])]
    if lacking:
        raise WeightsError(f"{folder} lacks {tensors_of(lacking)} that other layers have: fetch it again")


def _require_head(folder: Path, config: dict[str, Any], tensors: dict[str, TensorInfo], *, embeds: bool) -> None:
    stated = config.get("tie_word_embeddings")
    tied = stated if isinstance(stated, bool) else UNIFORM[str(config["model_type"])]
    if not tied and not embeds and not any(_ends(name, HEADS) for name in tensors):
        raise WeightsError(
            f"{folder} lacks lm_head.weight, the output layer: config.json does not tie it to the embedding "
            "(tie_word_embeddings is false); fetch it again, or set that to true if the model was trained so"
        )
    if not any(_ends(name, EMBEDDINGS) for name in tensors):
        raise WeightsError(f"{folder} lacks its embedding: none of its tensors ends in {some(EMBEDDINGS)}")


def _require_vocabulary(folder: Path, config: dict[str, Any], tensors: dict[str, TensorInfo]) -> None:
    size = config.get("vocab_size")
    for name, info in tensors.items():
        if isinstance(size, int) and _ends(name, (*EMBEDDINGS, HEADS[0])) and info.shape[0] != size:
            raise WeightsError(
                f"{folder}: {name} has {info.shape[0]} rows, and config.json says {size} tokens (vocab_size): they "
                "are of different models"
            )


def _ends(name: str, endings: Iterable[str]) -> bool:
    return any(name == ending or name.endswith(f".{ending}") for ending in endings)
