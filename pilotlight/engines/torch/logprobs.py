"""Log probabilities of a text's tokens by a model in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["log_probabilities"]


@torch.inference_mode()
def log_probabilities(model: Any, ids: Sequence[int]) -> list[float]:
    """Return natural logarithms for ``ids[1:]``, shape (len(ids) - 1,); ``model`` is a causal language model."""
    tokens = torch.tensor([list(ids)], device=model.device)
    scores = model(tokens, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    found: list[float] = scores.gather(1, tokens[0, 1:, None])[:, 0].tolist()
    return found
