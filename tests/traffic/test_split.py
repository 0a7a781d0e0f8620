"""The split is stable, follows the weights, and moves as few keys as it can."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import ConfigError
from pilotlight.traffic.split import Traffic, choose

KEYS = [f"user-{number}" for number in range(20_000)]


def counts(traffic, **options):
    found = dict.fromkeys(traffic.weights, 0)
    for key in KEYS:
        found[choose(traffic, key, **options).target] += 1
    return found


def test_shares_follow_the_weights():
    traffic = Traffic({"a": 80, "b": 15, "c": 5, "off": 0})
    found = counts(traffic)
    # Five standard deviations of a draw of 20,000.
    for target, share in traffic.shares.items():
        expected = share * len(KEYS)
        assert abs(found[target] - expected) <= 5 * (expected * (1 - share)) ** 0.5


def test_a_growing_canary_keeps_whom_it_has_and_takes_only_what_it_needs():
    before, after = Traffic({"old": 95, "new": 5}), Traffic({"old": 90, "new": 10})
    moved = [(choose(before, key).target, choose(after, key).target) for key in KEYS]
    assert ("new", "old") not in moved
    assert 0.03 < moved.count(("old", "new")) / len(KEYS) < 0.07


def test_another_seed_deals_anew():
    traffic = Traffic({"a": 1, "b": 1})
    same = sum(choose(traffic, key, seed="1") == choose(traffic, key, seed="2") for key in KEYS)
    assert 0.45 < same / len(KEYS) < 0.55


@given(st.text(), st.dictionaries(st.text(min_size=1), st.floats(0, 1e9), min_size=1))
def test_any_key_has_one_way_and_always_the_same(key, weights):
    if not any(weights.values()):
        with pytest.raises(ConfigError, match="weight above 0"):
            Traffic(weights)
        return
    traffic = Traffic(weights)
    way = choose(traffic, key)
    assert traffic.weights[way.target] > 0
    assert choose(Traffic(dict(reversed(weights.items()))), key) == way


def test_shadows_see_their_share_and_never_replace_the_target():
    traffic = Traffic({"a": 1}, shadows={"all": 1, "some": 0.25, "none": 0})
    ways = [choose(traffic, key) for key in KEYS]
    assert {way.target for way in ways} == {"a"}
    seen = [name for way in ways for name in way.shadows]
    assert seen.count("all") == len(KEYS)
    assert 0.23 < seen.count("some") / len(KEYS) < 0.27
    assert "none" not in seen


def test_fallbacks_leave_out_the_target_itself():
    traffic = Traffic({"a": 1, "b": 1}, fallback=("a", "c"))
    assert {choose(traffic, key).fallback for key in KEYS[:100]} == {("c",), ("a", "c")}


def test_a_fallback_is_tried_once():
    assert choose(Traffic({"a": 1}, fallback=["b", "c", "b"]), "key").fallback == ("b", "c")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": {}}, "no target has a weight above 0"),
        ({"weights": {"a": -1}}, "weight of a"),
        ({"weights": {"a": float("nan")}}, "weight of a"),
        ({"weights": {"a": float("inf")}}, "weight of a"),
        ({"weights": {"a": "5"}}, "weight of a is '5'"),
        ({"weights": {"a": 1}, "shadows": {"b": "all"}}, "shadow b has 'all'"),
        ({"weights": {"a": 1}, "shadows": {"b": 1.5}}, "shadow b"),
        ({"weights": {"a": 1}, "shadows": {"a": 1}}, "shadow of itself"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        Traffic(**fields)


WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1).filter(
    lambda weights: any(weights.values())
)


@given(st.lists(WEIGHTS, min_size=2, max_size=8), st.lists(st.text(max_size=8), max_size=20))
def test_a_change_of_weights_moves_the_least(changes, keys):
    """Measured exactly, on the ranges of positions, not on a sample of keys; any sample agrees with them."""
    *earlier, now = changes
    before = Traffic(earlier[-1], earlier=tuple(earlier[:-1]))
    after = Traffic(now, earlier=tuple(earlier))
    least = sum(max(0.0, before.shares.get(name, 0.0) - share) for name, share in zero_filled(after, before))
    assert moved_share(before, after) == pytest.approx(least, abs=1e-12)
    for name, share in after.shares.items():
        assert owned(after).get(name, 0) / 2**53 == pytest.approx(share, abs=1e-12)
    for key in keys:
        assert after.shares[choose(after, key).target] > 0


def test_the_change_of_three_weights_that_needs_10_percent_moves_10_percent():
    before = Traffic({"a": 50, "b": 30, "c": 20})
    after = Traffic({"a": 40, "b": 30, "c": 30}, earlier=(before.weights,))
    moved = [key for key in KEYS if choose(before, key) != choose(after, key)]
    assert 0.09 < len(moved) / len(KEYS) < 0.11
    assert {choose(before, key).target for key in moved} == {"a"}
    assert {choose(after, key).target for key in moved} == {"c"}


def test_a_thousand_changes_leave_few_ranges():
    earlier = tuple({"a": 1 + n % 7, "b": 1 + n % 5, "c": 1 + n % 3} for n in range(1000))
    assert len(Traffic({"a": 1, "b": 1, "c": 1}, earlier=earlier).ranges()) < 3000


def zero_filled(after, before):
    return [(name, after.shares.get(name, 0.0)) for name in {*after.weights, *before.weights}]


def owned(traffic):
    found = {}
    for begin, end, owner in traffic.ranges():
        found[owner] = found.get(owner, 0) + end - begin
    return found


def moved_share(before, after):
    """The share of positions whose owner differs."""
    edges = sorted({edge for one in (before, after) for begin, end, _ in one.ranges() for edge in (begin, end)})
    moved = sum(end - begin for begin, end in pairwise(edges) if before.owner(begin) != after.owner(begin))
    return moved / 2**53
