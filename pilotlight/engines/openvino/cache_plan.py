"""How much memory the openvino engine takes: keys and values of every slot, and the weights of each stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilotlight.engines.openvino.pipeline import BLOCK_TOKENS
from pilotlight.engines.openvino.runtime import read_cache_shape
from pilotlight.engines.text.cache_memory import CACHE_SHARE, free_memory_bytes

__all__ = ["CachePlan", "plan_cache"]


@dataclass(frozen=True, slots=True)
class CachePlan:
    """What the stages keep.

    Attributes:
        slots: requests that advance together, at most.
        blocks: of the batching stage's cache, of ``BLOCK_TOKENS`` each.
        context_tokens: prompt and output together, at most.
        cache_bytes: of those blocks.
        serial_bytes: of the stage that serves one at a time, first or for what cannot be batched: one request's whole
            context, and a copy of the weights that is laid out for the processor.
    """

    slots: int
    blocks: int
    context_tokens: int
    cache_bytes: int
    serial_bytes: int


def plan_cache(artifact: Path, *, cache: str, context_tokens: int, slots: int) -> CachePlan:
    """A whole context for every slot, or what memory allows beside the weights; each slot may waste most of a block.

    Args:
        artifact: whose weights are not loaded yet.
        cache: its precision, in the runtime's words.
        context_tokens: of the model.
        slots: requests that advance together, at most.

    Raises:
        WeightsError: the artifact keeps no keys and values.
    """
    token_bytes = read_cache_shape(artifact).token_bytes(cache)
    weights_bytes = sum(path.stat().st_size for path in artifact.glob("*.bin"))
    serial_bytes = weights_bytes + context_tokens * token_bytes  # it may not be there now, but has its place
    affordable = int(CACHE_SHARE * max(0, free_memory_bytes() - weights_bytes - serial_bytes)) // token_bytes
    blocks = max(1, min(slots * context_tokens, affordable) // BLOCK_TOKENS) + slots
    return CachePlan(
        slots=slots,
        blocks=blocks,
        context_tokens=min(context_tokens, (blocks - slots) * BLOCK_TOKENS),
        cache_bytes=blocks * BLOCK_TOKENS * token_bytes,
        serial_bytes=serial_bytes,
    )
