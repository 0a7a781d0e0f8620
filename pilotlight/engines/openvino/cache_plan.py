"""Plans the memory of the openvino engine: keys and values of all requests, and the weights of each stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilotlight.engines.memory.layout import CacheLayout, LayerKind
from pilotlight.engines.memory.plan import MemoryNeeds, plan_cache
from pilotlight.engines.memory.reservation import Reservation, reserve
from pilotlight.engines.openvino.pipeline import BLOCK_TOKENS, MAX_BATCH_TOKENS
from pilotlight.engines.openvino.runtime import read_cache_shape
from pilotlight.engines.text.model_config import ModelFacts

__all__ = ["OpenVINOCachePlan", "plan_openvino_cache"]

# Copies of a step's logits (float32) that the pipeline and its sampler hold.
LOGIT_COPIES = 3


@dataclass(frozen=True, slots=True)
class OpenVINOCachePlan:
    """The sizes of the stages' memory.

    Attributes:
        reservation: of the machine's memory, with the plan of the batching stage's cache.
        layout: of that cache.
        slots: requests that advance together, at most.
        blocks: of the batching stage's cache, of ``BLOCK_TOKENS`` each.
        context_tokens: prompt and output together, at most.
        cache_bytes: of those blocks.
        serial_bytes: of the stage that serves one at a time, as first stage or as fallback: one request's whole
            context, and a copy of the weights in the processor's layout.
    """

    reservation: Reservation
    layout: CacheLayout
    slots: int
    blocks: int
    context_tokens: int
    cache_bytes: int
    serial_bytes: int


def plan_openvino_cache(
    artifact: Path, *, cache: str, facts: ModelFacts, slots: int, stated_bytes: int | None = None
) -> OpenVINOCachePlan:
    """Plan the cache beside the weights of both stages, and tell this machine's other workers.

    Args:
        artifact: its weights are not loaded yet.
        cache: its precision, as the runtime names it.
        facts: of the model.
        slots: requests that advance together, at most.
        stated_bytes: of the cache, where it is set by hand.

    Raises:
        ConfigError: memory is too short.
        WeightsError: the artifact is not a model with keys and values.
    """
    token_bytes = read_cache_shape(artifact).token_bytes(cache)
    layout = CacheLayout((LayerKind(1, token_bytes),), BLOCK_TOKENS)
    weights_bytes = sum(path.stat().st_size for path in artifact.glob("*.bin"))
    serial_bytes = weights_bytes + facts.context_tokens * token_bytes  # counted even where it is opened later
    logits = LOGIT_COPIES * 4 * facts.vocab_size * max(MAX_BATCH_TOKENS, slots)
    needs = MemoryNeeds(
        layout=layout,
        context_tokens=facts.context_tokens,
        slots=slots,
        weights_bytes=weights_bytes,
        fixed_bytes=serial_bytes + logits,
    )
    reservation = reserve(lambda free_bytes: plan_cache(needs, free_bytes=free_bytes, stated_bytes=stated_bytes))
    plan = reservation.plan
    return OpenVINOCachePlan(
        reservation=reservation,
        layout=layout,
        slots=plan.slots,
        blocks=plan.units,
        context_tokens=plan.context_tokens,
        cache_bytes=plan.cache_bytes,
        serial_bytes=serial_bytes,
    )
