"""The text half of a checkpoint that also sees or hears: its configuration, and the tensors that it does without."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["OTHER_TENSORS", "is_text_half", "other_half", "text_config"]

# Parts of a configuration that belong to pictures and sounds.
OTHER_CONFIGS = ("vision_config", "audio_config", "speech_config")
# What transformers calls the tensors of those parts, and of what leads from them to the text.
OTHER_TENSORS = re.compile(
    r"(?:^|\.)(?:visual|vision_model|vision_tower|vision_embed_tokens|multi_modal_projector|mm_projector|connector"
    r"|audio_tower|audio_model|embed_vision|embed_audio|image_newline|embed_tokens_extend)(?:\.|$)"
)


def is_text_half(kind: Any, config: Any) -> bool:
    """Whether ``kind``, a class that transformers names for ``config``, is a model of the text part of it only."""
    part = type(config).sub_configs.get("text_config")
    return part is not None and kind.config_class is part and type(config) is not part


def text_config(kind: Any, config: Any) -> Any:
    """Return the configuration that ``kind`` takes: that of the text part, where it is a model of that part."""
    return config.get_text_config() if is_text_half(kind, config) else config


def other_half(raw: dict[str, Any]) -> bool:
    """Whether a ``config.json`` describes a model that also sees or hears."""
    return any(isinstance(raw.get(name), dict) for name in OTHER_CONFIGS)
