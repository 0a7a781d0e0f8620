"""The plan of a model that is served one request at a time."""

from __future__ import annotations

import pytest

from pilotlight.engines.memory.layout import LayerKind
from pilotlight.engines.memory.plan_request import RequestCosts, plan_request
from pilotlight.errors import ConfigError

GB, MB = 10**9, 10**6
KIB = 1024
# 30 layers of 2 kB a token: 8,192 tokens take 503 MB.
PLAIN = RequestCosts((LayerKind(30, 2 * KIB),), token_bytes=10 * KIB, weights_bytes=500 * MB, loaded_bytes=38 * MB)
WINDOWED = RequestCosts((LayerKind(25, 2 * KIB, 512), LayerKind(5, 2 * KIB)), state_bytes=MB, token_bytes=10 * KIB)
EAGER = RequestCosts((LayerKind(30, 2 * KIB),), pair_bytes=256)


@pytest.mark.parametrize("context", [512, 8_192, 131_072])
@pytest.mark.parametrize("free_gb", [0.5, 1, 2, 4, 8, 24])
@pytest.mark.parametrize("costs", [PLAIN, WINDOWED, EAGER])
def test_what_is_planned_fits_and_one_token_more_would_not(costs: RequestCosts, free_gb: float, context: int) -> None:
    free = int(free_gb * GB)
    try:
        plan = plan_request(costs, context_tokens=context, free_bytes=free)
    except ConfigError as error:
        tokens, room = min(context, 1024), free - max(256 << 20, free // 10)
        assert costs.weights_bytes + costs.cache_bytes(tokens) + costs.computing_bytes(tokens) > room
        assert f"{free / MB:.0f} MB are free" in str(error)  # noqa: PT017 - whether it fits is what is tested
        return
    served = plan.context_tokens
    assert plan.planned_bytes + plan.reserve_bytes <= free + served  # the cache is rounded up to bytes a token
    assert plan.cache_bytes == pytest.approx(costs.cache_bytes(served), abs=served)
    assert plan.cache_tokens == served
    assert (plan.slots, plan.shortened) == (1, served < context)
    if plan.shortened:
        more = costs.weights_bytes + costs.cache_bytes(served + 1) + costs.computing_bytes(served + 1)
        assert more + plan.reserve_bytes > free


def test_attention_that_is_not_fused_bounds_the_context_by_its_square() -> None:
    plain = plan_request(PLAIN, context_tokens=131_072, free_bytes=24 * GB).context_tokens
    eager = plan_request(EAGER, context_tokens=131_072, free_bytes=24 * GB).context_tokens
    assert plain == 131_072
    assert 8_000 < eager < 10_000


def test_the_line_of_the_log_has_the_figures() -> None:
    plan = plan_request(PLAIN, context_tokens=131_072, free_bytes=2 * GB)
    assert plan.describe() == (
        f"memory: weights 538 MB, cache {plan.cache_bytes / MB:.0f} MB for {plan.context_tokens} tokens, computing "
        f"{plan.computing_bytes / MB:.0f} MB; context {plan.context_tokens} of the model's 131072, for want of memory, "
        f"1 slots; 2000 MB free before, {(2 * GB - plan.planned_bytes) / MB:.0f} MB after"
    )


def test_a_size_set_by_hand_bounds_the_cache() -> None:
    plan = plan_request(PLAIN, context_tokens=8_192, free_bytes=24 * GB, stated_bytes=100 * MB)
    assert plan.cache_bytes <= 100 * MB
    assert plan.context_tokens == 100 * MB // (60 * KIB)
    with pytest.raises(ConfigError, match=r"PILOTLIGHT_CACHE_GB is 0.01, but keys and values of 1024 tokens"):
        plan_request(PLAIN, context_tokens=8_192, free_bytes=24 * GB, stated_bytes=10 * MB)
