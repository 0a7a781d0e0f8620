"""Which texts make up a batch: a pure decision, held against trying every way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost, fit, next_batch, partition, wait_s

CHEAP_CALLS = Cost(call_s=0.0, token_s=1e-3)
DEAR_CALLS = Cost(call_s=1.0, token_s=1e-6)
COSTS = st.builds(Cost, call_s=st.floats(0, 1), token_s=st.floats(0, 0.1))
LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=7)


def total(batches: list[list[int]], lengths: list[int], cost: Cost) -> float:
    return sum(cost.of(len(batch), max(lengths[i] for i in batch)) for batch in batches)


def ways(items: list[int]) -> Iterator[list[list[int]]]:
    """Every way to put the items into batches."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for company in itertools.combinations(rest, size):
            left = [item for item in rest if item not in company]
            for others in ways(left):
                yield [[first, *company], *others]


def allowed(batches: list[list[int]], lengths: list[int], limits: BatchLimits) -> bool:
    return all(
        len(batch) == 1
        or (len(batch) <= limits.max_rows and len(batch) * max(lengths[i] for i in batch) <= limits.max_tokens)
        for batch in batches
    )


@given(LENGTHS, COSTS, st.integers(1, 5), st.integers(1, 90))
def test_no_other_way_is_cheaper(lengths: list[int], cost: Cost, max_rows: int, max_tokens: int) -> None:
    limits = BatchLimits(max_rows, max_tokens)
    found = partition(lengths, cost, limits)
    assert sorted(itertools.chain(*found)) == list(range(len(lengths)))
    assert allowed(found, lengths, limits)
    best = min(total(way, lengths, cost) for way in ways(list(range(len(lengths)))) if allowed(way, lengths, limits))
    assert total(found, lengths, cost) == pytest.approx(best, abs=1e-9)


def test_where_calls_are_dear_all_go_together() -> None:
    assert partition([5, 500, 20], DEAR_CALLS, BatchLimits()) == [[0, 2, 1]]


def test_where_calls_are_free_only_equal_lengths_do() -> None:
    assert partition([5, 9, 5, 7], CHEAP_CALLS, BatchLimits()) == [[0, 2], [3], [1]]


def test_the_oldest_is_in_the_next_batch_and_waits_for_no_better_company() -> None:
    assert next_batch([100, 1, 1, 1, 1], CHEAP_CALLS, BatchLimits()) == [0]
    assert sorted(next_batch([1, 100, 1, 100], CHEAP_CALLS, BatchLimits())) == [0, 2]
    assert sorted(next_batch([3] * 100, CHEAP_CALLS, BatchLimits(max_rows=4))).count(0) == 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), COSTS)
def test_every_text_is_in_a_batch_before_long(lengths: list[int], cost: Cost) -> None:
    waiting, limits = list(range(len(lengths))), BatchLimits(max_rows=4)
    for left in range(len(lengths), 0, -1):
        batch = next_batch([lengths[i] for i in waiting], cost, limits)
        assert 0 in batch
        waiting = [one for i, one in enumerate(waiting) if i not in batch]
        assert len(waiting) < left
        if not waiting:
            return
    raise AssertionError("texts are left")


@pytest.mark.parametrize("cost", [Cost(0.002, 1e-5), Cost(0.0, 1e-4), Cost(0.05, 0.0)])
def test_the_cost_is_found_again_from_what_batches_took(cost: Cost) -> None:
    found = fit([(tokens, cost.of(1, tokens)) for tokens in (8, 32, 32, 128)])
    assert found.call_s == pytest.approx(cost.call_s, abs=1e-9)
    assert found.token_s == pytest.approx(cost.token_s, abs=1e-12)


def test_measurements_that_make_no_sense_still_give_a_cost() -> None:
    assert fit([(8, 0.1), (128, 0.01)]).token_s == 0
    steep = fit([(8, 1e-6), (128, 1.0)])
    assert steep.call_s == 0
    assert steep.token_s > 0


def test_nobody_waits_for_company_longer_than_it_would_save() -> None:
    limits = BatchLimits(max_rows=4, max_wait_s=0.005)
    assert wait_s(1, 0.0, Cost(1.0, 0.0), limits) == 0.005
    assert wait_s(1, 0.003, Cost(1.0, 0.0), limits) == pytest.approx(0.002)
    assert wait_s(1, 0.009, Cost(1.0, 0.0), limits) == 0
    assert wait_s(1, 0.0, Cost(0.001, 1.0), limits) == 0.001
    assert wait_s(1, 0.0, CHEAP_CALLS, limits) == 0
    assert wait_s(4, 0.0, Cost(1.0, 0.0), limits) == 0, "a full batch waits for nobody"


@pytest.mark.parametrize("wrong", [{"max_rows": 0}, {"max_tokens": 0}, {"max_wait_s": -1.0}])
def test_limits_that_allow_nothing_are_a_bug(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allows no batch"):
        BatchLimits(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@given(LENGTHS, COSTS)
def test_where_padding_is_not_allowed_a_batch_has_one_length(lengths: list[int], cost: Cost) -> None:
    batches = partition(lengths, cost, BatchLimits(max_rows=3, equal_lengths=True))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len({lengths[i] for i in batch}) == 1 for batch in batches)
    assert all(len(batch) <= 3 for batch in batches)


def test_equal_lengths_still_share_a_batch() -> None:
    assert partition([5, 4, 5, 5], DEAR_CALLS, BatchLimits(equal_lengths=True)) == [[1], [0, 2, 3]]
