"""Loads a language model with transformers: its device, its precision, and the tokens that end a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pilotlight.engines.text.model_config import limit_context, read_eos_ids
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.lean_transformers import (
    is_flash_attn_2_available,
    transformers_logging,
)
from pilotlight.engines.torch.load_mapped import load_model
from pilotlight.engines.torch.tokenizer import open_tokenizer, require_embedded_vocabulary
from pilotlight.errors import ConfigError, PilotlightError, WeightsError
from pilotlight.loading.files.checks.architecture import require_generator
from pilotlight.loading.files.tokenizer_files import require_tokenizer
from pilotlight.tracing import stage

__all__ = ["Loaded", "load", "pick_device", "pick_dtype"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model.

    Attributes:
        model: a transformers causal language model, in evaluation mode on its device.
        context_tokens: prompt and output together, at most.
        eos_ids: tokens that end a text, all of them in the vocabulary; may be empty.
        vocab_size: tokens that the model has embeddings for.
    """

    model: Any
    codec: TransformersCodec
    context_tokens: int
    eos_ids: tuple[int, ...]
    vocab_size: int


def pick_device(name: str = "auto") -> torch.device:
    """Return the device; ``auto`` is the first of cuda, mps and cpu that the machine has.

    Raises:
        ConfigError: the name is not a device, or the machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}; expected auto, cpu, cuda, cuda:N or mps") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.type, False):
        raise ConfigError(f"device is {name!r}, which this machine does not have; use auto or cpu")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the precision; ``auto`` is 16 bits where the device is fast at it (a CPU with AVX512_BF16 or AMX).

    Raises:
        ConfigError: the name is not a precision that this engine supports.
    """
    if name != "auto":
        if name not in DTYPES:
            raise ConfigError(f"dtype is {name!r}; expected auto or one of {', '.join(DTYPES)}")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def load(folder: Path, *, device: str = "auto", dtype: str = "auto") -> Loaded:
    """Load a checked model folder; runs no code from it and reads no pickle.

    Raises:
        ConfigError: device or dtype is not available.
        WeightsError: it is not a language model, its weights are not those of its configuration, or transformers
            cannot load it.
    """
    transformers_logging.disable_progress_bar()  # a bar in a server's log is noise
    with stage("device"):
        place = pick_device(device)
        precision = pick_dtype(dtype, place)
    # FlashAttention has no kernels for float32.
    flash = place.type == "cuda" and precision is not torch.float32 and is_flash_attn_2_available()
    options = {"attn_implementation": "flash_attention_2"} if flash else {}
    require_generator(folder)
    try:
        with stage("weights"):
            require_tokenizer(folder)  # before the weights are read
            model = load_model(folder, precision, device=place, **options)
            tokenizer = open_tokenizer(folder)
    except PilotlightError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds, some of them bare
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{folder}: transformers cannot load it as a causal language model: {reason}") from error
    vocab_size = _vocab_size(model)
    require_embedded_vocabulary(folder, tokenizer, vocab_size)
    with stage("device"):
        model = model.eval().requires_grad_(False)
        if not getattr(model, "is_quantized", False):  # quantised weights are where they belong, and may not be moved
            model = model.to(place)
    codec = TransformersCodec(tokenizer, folder)
    eos_ids = read_eos_ids(folder, codec, vocab_size)
    return Loaded(model, codec, _context_tokens(model, tokenizer), eos_ids, vocab_size)


def _vocab_size(model: Any) -> int:
    """Return how many tokens the model has embeddings for."""
    rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    return int(rows if isinstance(rows, int) else model.config.get_text_config().vocab_size)


def _context_tokens(model: Any, tokenizer: Any) -> int:
    """Return the context of the model's text part; a model without positions (Mamba) has the tokenizer's limit only."""
    config = model.config
    return limit_context(config.to_dict() | config.get_text_config().to_dict(), tokenizer.model_max_length)
