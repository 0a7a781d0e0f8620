"""Loads a language model with transformers: its device, its precision, and the tokens that end a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pilotlight.engines.text.model_config import read_eos_ids
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.lean_transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    is_flash_attn_2_available,
    transformers_logging,
)
from pilotlight.engines.torch.load_mapped import load_mapped
from pilotlight.errors import ConfigError, WeightsError
from pilotlight.tracing import stage

__all__ = ["Loaded", "load", "pick_device", "pick_dtype"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model.

    Attributes:
        model: a transformers causal language model, in evaluation mode on its device.
        context_tokens: prompt and output together, at most.
        eos_ids: tokens that end a text; may be empty.
    """

    model: Any
    codec: TransformersCodec
    context_tokens: int
    eos_ids: tuple[int, ...]


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
        WeightsError: transformers cannot load it as a causal language model.
    """
    transformers_logging.disable_progress_bar()  # a bar in a server's log is noise
    with stage("device"):
        place = pick_device(device)
        precision = pick_dtype(dtype, place)
    flash = place.type == "cuda" and is_flash_attn_2_available()
    options = {"attn_implementation": "flash_attention_2"} if flash else {}
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with stage("weights"):
            tokenizer = AutoTokenizer.from_pretrained(folder, **local)
            model = load_mapped(folder, precision, **options)
            if model is None:
                model = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=precision, use_safetensors=True, **options, **local
                )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{folder}: transformers cannot load it as a causal language model: {error}") from error
    with stage("device"):
        model = model.eval().requires_grad_(False).to(place)
    codec = TransformersCodec(tokenizer, folder)
    vocab_size = model.config.get_text_config().vocab_size
    return Loaded(model, codec, _context_tokens(model, tokenizer), read_eos_ids(folder, codec, vocab_size))


def _context_tokens(model: Any, tokenizer: Any) -> int:
    config = model.config.get_text_config()
    sizes = [getattr(config, key, None) for key in ("max_position_embeddings", "n_positions", "max_seq_len")]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    # A tokenizer without a limit has 1e30; a model without positions (Mamba) has the tokenizer's limit only.
    known += [tokenizer.model_max_length] if tokenizer.model_max_length < 10**9 else []
    return min(known) if known else 8192
