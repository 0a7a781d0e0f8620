"""Plans the memory of the openvino engine: keys and values of every slot, and the weights of each stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilotlight.engines.openvino.pipeline import BLOCK_TOKENS
from pilotlight.engines.openvino.runtime import read_cache_shape
from pilotlight.engines.text.cache_memory import CACHE_SHARE, free_memory_bytes

__all__ = ["CachePlan", "plan_cache"]


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The sizes of the stages' memory.

    Attributes:
        slots: requests that advance together, at most.
        blocks: of the batching stage's cache, of ``BLOCK_TOKENS`` each.
        context_tokens: prompt and output together, at most.
        cache_bytes: of those blocks.
        serial_bytes: of the stage that serves one at a time, as first stage or as fallback: one request's whole
            context, and a copy of the weights in the processor's layout.
    """

    slots: int
    blocks: int
    context_tokens: int
    cache_bytes: int
    serial_bytes: int


def plan_cache(artifact: Path, *, cache: str, context_tokens: int, slots: int) -> CachePlan:
    """Plan a whole context for every slot, or what memory allows beside the weights.

    Each slot gets one block more, as it may waste most of a block.

    Args:
        artifact: its weights are not loaded yet.
        cache: its precision, as the runtime names it.
        context_tokens: of the model.
        slots: requests that advance together, at most.

    Raises:
        WeightsError: the artifact is not a model with keys and values.
    """
    token_bytes = read_cache_shape(artifact).token_bytes(cache)
    weights_bytes = sum(path.stat().st_size for path in artifact.glob("*.bin"))
    serial_bytes = weights_bytes + context_tokens * token_bytes  # counted even where it is opened later
    affordable = int(CACHE_SHARE * max(0, free_memory_bytes() - weights_bytes - serial_bytes)) // token_bytes
    blocks = max(1, min(slots * context_tokens, affordable) // BLOCK_TOKENS) + slots
    return CachePlan(
        slots=slots,
        blocks=blocks,
        context_tokens=min(context_tokens, (blocks - slots) * BLOCK_TOKENS),
        cache_bytes=blocks * BLOCK_TOKENS * token_bytes,
        serial_bytes=serial_bytes,
    )
