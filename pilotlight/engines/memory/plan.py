"""Plans a cache of keys and values: how large it is, the context that is served, and the slots. Pure.

Weights, the cache and what computing takes have to fit into what is free, beside a reserve. Within that the cache takes
what every slot's whole context needs, or else a share of what is left, so that other workers and programs find room. It
takes more than that share only to hold one whole context. Where not even that fits, a smaller context is served, and
the plan says so; where less than ``MIN_CONTEXT_TOKENS`` would fit, the engine does not start.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.engines.memory.layout import CacheLayout
from pilotlight.errors import ConfigError

__all__ = [
    "CPU_SHARE",
    "GPU_SHARE",
    "MIN_CONTEXT_TOKENS",
    "CachePlan",
    "MemoryNeeds",
    "memory_too_short",
    "plan_cache",
    "reserve_bytes",
]

# Share of what is left beside weights, computing and reserve. A GPU has its memory for the worker that was given it.
CPU_SHARE = 0.5
GPU_SHARE = 0.95
# Kept free: what the planned sizes leave out (the interpreter, allocators' rounding, other programs).
RESERVE_SHARE = 0.1
MIN_RESERVE_BYTES = 256 << 20
MIN_CONTEXT_TOKENS = 1024
MB, GB = 10**6, 10**9


@dataclass(frozen=True, slots=True)
class MemoryNeeds:
    """What an engine needs for a model.

    Attributes:
        layout: of the cache.
        context_tokens: of the model, prompt and output together.
        slots: requests that advance together, at most.
        weights_bytes: of weights that free memory still has to hold: not loaded yet, or mapped from a file.
        loaded_bytes: of weights that have their memory already; for the log.
        fixed_bytes: of computing, whatever the size of the cache.
        unit_overhead_bytes: of computing, for each unit of the cache that a step may read.
    """

    layout: CacheLayout
    context_tokens: int
    slots: int
    weights_bytes: int = 0
    loaded_bytes: int = 0
    fixed_bytes: int = 0
    unit_overhead_bytes: int = 0

    @property
    def whole_units(self) -> int:
        """Units of one whole context."""
        return self.layout.units(self.context_tokens)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The sizes of a cache.

    Attributes:
        needs: what was planned for.
        units: of the cache.
        context_tokens: that one request may have, prompt and output together.
        slots: requests that advance together, at most.
        free_bytes: before anything of the plan is taken.
        reserve_bytes: of those, left alone.
    """

    needs: MemoryNeeds
    units: int
    context_tokens: int
    slots: int
    free_bytes: int
    reserve_bytes: int

    @property
    def cache_bytes(self) -> int:
        return self.units * self.needs.layout.unit_bytes

    @property
    def computing_bytes(self) -> int:
        return self.needs.fixed_bytes + self.units * self.needs.unit_overhead_bytes

    @property
    def planned_bytes(self) -> int:
        return self.needs.weights_bytes + self.computing_bytes + self.cache_bytes

    @property
    def cache_tokens(self) -> int:
        """Tokens of the cache when requests with the whole served context fill it."""
        layout = self.needs.layout
        contexts, rest = divmod(self.units, layout.units(self.context_tokens))
        return contexts * self.context_tokens + layout.tokens(rest, self.context_tokens)

    @property
    def shortened(self) -> bool:
        """Whether memory holds less than the model's context."""
        return self.context_tokens < self.needs.context_tokens

    def describe(self) -> str:
        """Return the log line of the plan."""
        context = f"context {self.context_tokens}"
        if self.shortened:
            context += f" of the model's {self.needs.context_tokens}, for want of memory"
        weights = self.needs.weights_bytes + self.needs.loaded_bytes
        return (
            f"memory: weights {weights / MB:.0f} MB, cache {self.cache_bytes / MB:.0f} MB for {self.cache_tokens} "
            f"tokens, computing {self.computing_bytes / MB:.0f} MB; {context}, {self.slots} slots; "
            f"{self.free_bytes / MB:.0f} MB free before, {(self.free_bytes - self.planned_bytes) / MB:.0f} MB after"
        )


def reserve_bytes(free_bytes: int) -> int:
    """Return the part of free memory that no plan takes."""
    return max(MIN_RESERVE_BYTES, int(free_bytes * RESERVE_SHARE))


def plan_cache(
    needs: MemoryNeeds,
    *,
    free_bytes: int,
    share: float = CPU_SHARE,
    stated_bytes: int | None = None,
    ceiling_bytes: int | None = None,
) -> CachePlan:
    """Plan the cache.

    Args:
        needs: of the engine and the model.
        free_bytes: of the machine, the container or the device.
        share: of what is left that the cache takes, unless one whole context needs more.
        stated_bytes: the cache's size where it is set by hand; it replaces the share.
        ceiling_bytes: the most that the runtime lets the cache and computing take together.

    Raises:
        ConfigError: not even a small context fits, or a stated size does not.
    """
    reserve = reserve_bytes(free_bytes)
    room = free_bytes - reserve - needs.weights_bytes
    if ceiling_bytes is not None:
        room = min(room, ceiling_bytes)
    room -= needs.fixed_bytes
    unit_bytes = needs.layout.unit_bytes + needs.unit_overhead_bytes
    fitting = max(0, room) // unit_bytes
    least = needs.layout.units(min(needs.context_tokens, MIN_CONTEXT_TOKENS))
    wanted = needs.slots * needs.whole_units
    if stated_bytes is None:
        units = min(wanted, fitting, max(int(fitting * share), needs.whole_units))
    else:
        units = min(wanted, stated_bytes // needs.layout.unit_bytes)
    if units < least or units > fitting:
        raise ConfigError(memory_too_short(needs, free_bytes, reserve, max(units, least), stated_bytes))
    return CachePlan(
        needs=needs,
        units=units,
        context_tokens=needs.layout.tokens(units, needs.context_tokens),
        slots=min(needs.slots, units),
        free_bytes=free_bytes,
        reserve_bytes=reserve,
    )


def memory_too_short(needs: MemoryNeeds, free_bytes: int, reserve: int, units: int, stated_bytes: int | None) -> str:
    """Return the message where so many units, the least that is served, do not fit."""
    tokens = needs.layout.tokens(units, needs.context_tokens)
    cache = units * needs.layout.unit_bytes
    if stated_bytes is not None and stated_bytes < cache:
        return (
            f"PILOTLIGHT_CACHE_GB is {stated_bytes / GB:g}, but keys and values of {tokens} tokens, the least that is "
            f"served, take {cache / GB:.3g}: set it to that or more"
        )
    computing = needs.fixed_bytes + units * needs.unit_overhead_bytes
    needed = needs.weights_bytes + computing + cache + reserve
    change = (
        "set PILOTLIGHT_CACHE_GB to less"
        if stated_bytes is not None
        else "fewer PILOTLIGHT_SLOTS, a smaller PILOTLIGHT_DTYPE or a smaller model take less"
    )
    return (
        f"memory is too short for this model: weights still to load {needs.weights_bytes / MB:.0f} MB, a cache of "
        f"{cache / MB:.0f} MB for {tokens} tokens, computing {computing / MB:.0f} MB and a reserve of "
        f"{reserve / MB:.0f} MB make {needed / MB:.0f} MB, but {free_bytes / MB:.0f} MB are free: end other programs, "
        f"raise the container's limit, or take a larger machine; {change}"
    )
