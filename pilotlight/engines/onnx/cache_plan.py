"""Plans the cache of the onnx engine: a row of the whole context for every slot, with memory for what is used."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.engines.memory.layout import CacheLayout, LayerKind
from pilotlight.engines.memory.plan import MemoryNeeds, plan_cache
from pilotlight.engines.memory.reservation import Reservation, reserve
from pilotlight.engines.onnx.model import OnnxModel

__all__ = ["OnnxCachePlan", "plan_onnx_cache"]

# A row's memory comes in the system's pages, a few of them for each head: tokens that are counted together.
PAGE_TOKENS = 64
# Tokens of a prompt that one step reads. Other requests wait for such a piece, not for the whole prompt.
PIECE_TOKENS = 256
MIN_PIECE_TOKENS = 16
# The attention of a step has a weight for each of its tokens and each place of the row: bytes of them, at most.
ATTENTION_BYTES = 256 << 20
# Copies of the logits (float32) that a step and its sampling hold.
LOGIT_COPIES = 3


@dataclass(frozen=True, slots=True)
class OnnxCachePlan:
    """The sizes of the cache.

    Attributes:
        reservation: of the machine's memory.
        layout: of the cache.
        piece_tokens: of a prompt that one step reads.
    """

    reservation: Reservation
    layout: CacheLayout
    piece_tokens: int


def plan_onnx_cache(
    model: OnnxModel, *, context_tokens: int, slots: int, stated_bytes: int | None = None
) -> OnnxCachePlan:
    """Plan the tokens that all rows hold together, and tell this machine's other workers.

    Args:
        model: loaded.
        context_tokens: of the model.
        slots: requests that advance together, at most.
        stated_bytes: of the cache, where it is set by hand.

    Raises:
        ConfigError: memory is too short.
    """
    layout = CacheLayout((LayerKind(1, model.token_bytes),), PAGE_TOKENS)
    row_bytes = 4 * model.heads * context_tokens  # of the attention's weights
    piece_tokens = max(MIN_PIECE_TOKENS, min(PIECE_TOKENS, ATTENTION_BYTES // row_bytes))
    needs = MemoryNeeds(
        layout=layout,
        context_tokens=context_tokens,
        slots=slots,
        loaded_bytes=model.weights_bytes,
        fixed_bytes=max(piece_tokens, slots) * row_bytes + LOGIT_COPIES * 4 * slots * model.vocab_size,
    )
    reservation = reserve(lambda free_bytes: plan_cache(needs, free_bytes=free_bytes, stated_bytes=stated_bytes))
    return OnnxCachePlan(reservation, layout, piece_tokens)
