"""Plans the memory of a model that is served one request at a time: the longest context that fits. Pure.

Its cache grows with the text, and its attention may need memory for each pair of tokens: both are counted for the whole
context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pilotlight.engines.memory.layout import CacheLayout, LayerKind
from pilotlight.engines.memory.plan import (
    MIN_CONTEXT_TOKENS,
    CachePlan,
    MemoryNeeds,
    memory_too_short,
    reserve_bytes,
)
from pilotlight.errors import ConfigError

__all__ = ["RequestCosts", "plan_request"]


@dataclass(frozen=True, slots=True)
class RequestCosts:
    """What one request takes.

    Attributes:
        kinds: of the layers that cache tokens.
        state_bytes: of what is kept beside them, whatever the length of the text.
        fixed_bytes: of computing, whatever the length.
        token_bytes: of computing, for each token.
        pair_bytes: of computing, for each pair of tokens: attention that is not fused, or a mask.
        weights_bytes: of weights that free memory still has to hold.
        loaded_bytes: of weights that have their memory already; for the log.
    """

    kinds: tuple[LayerKind, ...]
    state_bytes: int = 0
    fixed_bytes: int = 0
    token_bytes: int = 0
    pair_bytes: int = 0
    weights_bytes: int = 0
    loaded_bytes: int = 0

    def cache_bytes(self, tokens: int) -> int:
        kept = ((kind, tokens if kind.window is None else min(tokens, kind.window)) for kind in self.kinds)
        return self.state_bytes + sum(kind.layers * kind.token_bytes * count for kind, count in kept)

    def computing_bytes(self, tokens: int) -> int:
        return self.fixed_bytes + tokens * self.token_bytes + tokens * tokens * self.pair_bytes


def plan_request(
    costs: RequestCosts, *, context_tokens: int, free_bytes: int, stated_bytes: int | None = None
) -> CachePlan:
    """Plan the longest context that fits.

    Args:
        costs: of a request.
        context_tokens: of the model, prompt and output together.
        free_bytes: of the machine, the container or the device.
        stated_bytes: the most that the cache may take, where it is set by hand.

    Raises:
        ConfigError: not even a small context fits.
    """
    reserve = reserve_bytes(free_bytes)
    room = free_bytes - reserve - costs.weights_bytes

    def fits(tokens: int) -> bool:
        cache = costs.cache_bytes(tokens)
        within = stated_bytes is None or cache <= stated_bytes
        return within and cache + costs.computing_bytes(tokens) <= room

    least = min(context_tokens, MIN_CONTEXT_TOKENS)
    if not fits(least):
        needs = _needs(costs, least, context_tokens)
        raise ConfigError(memory_too_short(needs, free_bytes, reserve, least, stated_bytes))
    low, high = least, context_tokens
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return CachePlan(
        needs=_needs(costs, low, context_tokens),
        units=low,
        context_tokens=low,
        slots=1,
        free_bytes=free_bytes,
        reserve_bytes=reserve,
    )


def _needs(costs: RequestCosts, tokens: int, context_tokens: int) -> MemoryNeeds:
    """Return the needs of a context of ``tokens``, whose cache is counted in units of a token."""
    unit_bytes = max(1, math.ceil(costs.cache_bytes(tokens) / tokens))
    return MemoryNeeds(
        layout=CacheLayout((LayerKind(1, unit_bytes),), 1),
        context_tokens=context_tokens,
        slots=1,
        weights_bytes=costs.weights_bytes,
        loaded_bytes=costs.loaded_bytes,
        fixed_bytes=costs.computing_bytes(tokens),
    )
