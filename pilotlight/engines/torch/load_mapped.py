"""Maps a checkpoint's weights into a model without copying, where their names are the model's own.

``from_pretrained`` can also rename, merge, split and dequantize, and prepares for that every time: it compiles a
thousand patterns for other models. Most checkpoints need none of it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pilotlight.engines.torch.lean_transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    no_init_weights,
)

__all__ = ["load_mapped"]

log = logging.getLogger(__name__)

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_LOCAL = {"local_files_only": True, "trust_remote_code": False}


def load_mapped(folder: Path, dtype: torch.dtype, *, auto: Any = AutoModelForCausalLM, **options: Any) -> Any | None:
    """Load the model in a folder on the CPU; ``None`` where only ``from_pretrained`` can.

    Weights that have the precision asked for stay mapped: the first use of a page reads it from the file.

    Args:
        folder: a checked model folder.
        dtype: of the weights in memory.
        auto: the class with which transformers would load it.
        options: for the model class, as ``attn_implementation``.

    Raises:
        OSError, ValueError, KeyError: the configuration cannot be read, or is of another kind of model.
    """
    config = AutoConfig.from_pretrained(folder, **_LOCAL)
    kind: Any = auto._model_mapping.get(type(config), None)
    if kind is None or isinstance(kind, tuple) or getattr(config, "quantization_config", None) is not None:
        return None
    # In memory that stays untouched, not on the meta device: buffers that no file holds are computed as usual.
    with no_init_weights():
        model = kind._from_config(config, dtype=dtype, **options)
    if any(model._get_dtype_plan(dtype)):
        return None  # parts of it need another precision
    weights = _weights(folder, dtype)
    own, tied = model.state_dict().keys(), set(model.all_tied_weights_keys)
    if weights.keys() - own or own - weights.keys() - tied:
        log.debug("%s: the names of its weights are not the model's; transformers converts them", folder)
        return None
    try:
        model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError:
        return None  # a shape differs: transformers has the better message
    model.tie_weights()
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model.eval()


def _weights(folder: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return all tensors by name, the floating ones in the precision asked for."""
    index = folder / _INDEX
    if (folder / _SINGLE).is_file():
        names = [_SINGLE]
    else:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        tensors.update(load_file(folder / name))
    return {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}
