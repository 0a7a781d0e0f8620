"""The planner over contexts, slots and memories: never more than there is, a whole context wherever one fits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import pytest

from pilotlight.engines.memory.layout import CacheLayout, LayerKind
from pilotlight.engines.memory.plan import MIN_CONTEXT_TOKENS, CachePlan, MemoryNeeds, plan_cache, reserve_bytes
from pilotlight.errors import ConfigError
from tests.paths import ROOT

CONTEXTS = (512, 2048, 8192, 32_768, 131_072)
SLOTS = (1, 4, 16, 64)
MEMORIES = (1, 2, 4, 8, 16, 24)
GB = 10**9
# SmolLM2-135M in float32: 30 layers, 3 heads of 64. gemma-3-270m: 18 layers, one head of 256, a window in 15 of them.
FULL = CacheLayout((LayerKind(30, 2 * 3 * 64 * 4),), 32, 128)
MIXED = CacheLayout((LayerKind(15, 2 * 256 * 4, 512), LayerKind(3, 2 * 256 * 4)), 32, 128)
NEEDS = {
    "full": MemoryNeeds(FULL, 8192, 16, 538_000_000, 0, 100_000_000, 32 * 9500),
    "mixed": MemoryNeeds(MIXED, 32_768, 16, 0, 1_070_000_000, 500_000_000, 160 * 17_000),
}


def planned(kind: str, context: int, slots: int, memory_gb: float, **options: int) -> CachePlan | None:
    needs = replace(NEEDS[kind], context_tokens=context, slots=slots)
    try:
        return plan_cache(needs, free_bytes=int(memory_gb * GB), **options)
    except ConfigError:
        return None


@pytest.mark.parametrize("kind", NEEDS)
def test_no_plan_takes_more_than_there_is(kind: str) -> None:
    plans = [planned(kind, *at) for at in product(CONTEXTS, SLOTS, MEMORIES)]
    assert sum(plan is not None for plan in plans) > len(plans) / 2
    for plan in plans:
        if plan is not None:
            assert plan.planned_bytes + plan.reserve_bytes <= plan.free_bytes
            assert plan.reserve_bytes == reserve_bytes(plan.free_bytes)


@pytest.mark.parametrize("kind", NEEDS)
def test_a_whole_context_is_served_wherever_one_fits_and_else_the_plan_says_so(kind: str) -> None:
    for context, slots, memory in product(CONTEXTS, SLOTS, MEMORIES):
        plan = planned(kind, context, slots, memory)
        needs = replace(NEEDS[kind], context_tokens=context, slots=slots)
        cost = needs.layout.unit_bytes + needs.unit_overhead_bytes
        room = memory * GB - reserve_bytes(memory * GB) - needs.weights_bytes - needs.fixed_bytes
        if plan is None:
            assert needs.layout.units(min(context, MIN_CONTEXT_TOKENS)) * cost > room
        elif needs.whole_units * cost <= room:
            assert plan.context_tokens == context
            assert not plan.shortened
            assert "for want of memory" not in plan.describe()
        else:
            assert MIN_CONTEXT_TOKENS <= plan.context_tokens < context
            assert f"context {plan.context_tokens} of the model's {context}, for want of memory" in plan.describe()


@pytest.mark.parametrize("kind", NEEDS)
def test_more_memory_never_gives_less(kind: str) -> None:
    for context, slots in product(CONTEXTS, SLOTS):
        plans = [planned(kind, context, slots, tenth / 10) for tenth in range(1, 240, 3)]
        started = [plan is not None for plan in plans]
        assert started == sorted(started)
        for less, more in pairwise(plan for plan in plans if plan is not None):
            assert less.units <= more.units
            assert less.context_tokens <= more.context_tokens
            assert less.slots <= more.slots


def test_the_cache_is_never_larger_than_every_slots_whole_context() -> None:
    plan = planned("full", 512, 4, 24)
    assert plan is not None
    assert plan.units == 4 * FULL.units(512)
    assert plan.cache_tokens == 4 * 512


def test_more_slots_share_the_same_cache() -> None:
    few, many = planned("full", 8192, 16, 8), planned("full", 8192, 64, 8)
    assert few is not None
    assert many is not None
    assert (few.units, few.context_tokens, many.slots) == (many.units, 8192, 64)


def test_a_window_bounds_what_its_layers_keep() -> None:
    short, long = MIXED.units(512), MIXED.units(32_768)
    assert short == 16 + 4  # a unit is a page of the 15 layers, or five pages of the three
    assert long == 16 + 205
    assert MIXED.tokens(long, 10**6) == 205 * 5 * 32
    assert CacheLayout((LayerKind(2, 64, 16),), 32).tokens(1, 10**6) == 10**6


def test_a_stated_cache_is_taken_as_it_is_or_refused() -> None:
    plan = planned("full", 8192, 32, 24, stated_bytes=GB)
    assert plan is not None
    assert GB - FULL.unit_bytes < plan.cache_bytes <= GB
    assert plan.context_tokens == 8192
    needs = replace(NEEDS["full"], slots=64)
    with pytest.raises(ConfigError, match=r"PILOTLIGHT_CACHE_GB is 0.01, but .* 1024 tokens.* take 0.0472"):
        plan_cache(needs, free_bytes=24 * GB, stated_bytes=GB // 100)
    with pytest.raises(ConfigError, match=r"a cache of 19999 MB .* 24000 MB are free: .* PILOTLIGHT_CACHE_GB to less"):
        plan_cache(replace(needs, context_tokens=131_072), free_bytes=24 * GB, stated_bytes=20 * GB)


def test_what_does_not_fit_is_refused_with_the_figures_and_what_to_change() -> None:
    with pytest.raises(ConfigError) as refused:
        plan_cache(NEEDS["full"], free_bytes=GB // 2)
    for part in ("weights still to load 538 MB", "for 1024 tokens", "500 MB are free", "fewer PILOTLIGHT_SLOTS"):
        assert part in str(refused.value)


def test_a_runtimes_own_limit_holds() -> None:
    plan = planned("full", 8192, 16, 24, ceiling_bytes=2 * GB)
    assert plan is not None
    assert plan.cache_bytes + plan.computing_bytes <= 2 * GB


def test_the_table_of_the_documentation_is_what_is_planned() -> None:
    text = (ROOT / "docs" / "engines.md").read_text()
    for memory in MEMORIES:
        cells = []
        for kind, context in (("full", 8192), ("mixed", 32_768)):
            plan = planned(kind, context, 32, memory)
            cells.append("does not start" if plan is None else f"{plan.context_tokens:,} / {plan.cache_tokens:,}")
        row = f"| {memory} GB | {' | '.join(cells)} |"
        assert row in text, row
