from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bench.load.histogram import bucket_bounds, bucket_indices, histogram, log_columns

durations = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(durations)
def test_every_value_lies_in_its_bucket_which_is_narrow(values):
    for value, index in zip(values, bucket_indices(values).tolist(), strict=True):
        low_s, high_s = bucket_bounds(index)
        assert low_s - 1e-9 <= round(value * 1e6) / 1e6 <= high_s
        assert high_s - low_s <= max(1.001e-6, value / 127)


@given(durations)
def test_the_buckets_ascend_and_hold_all_values(values):
    buckets = histogram(values)
    assert sum(one.count for one in buckets) == len(values)
    assert all(one.count > 0 for one in buckets)
    assert all(one.high_s <= next_.low_s + 1e-9 for one, next_ in pairwise(buckets))


@given(st.integers(0, 5000))
def test_buckets_meet_and_their_numbers_lead_back(index):
    low_s, high_s = bucket_bounds(index)
    assert bucket_bounds(index + 1)[0] == high_s
    assert bucket_indices([low_s]).tolist() == [index]


def test_quantiles_from_buckets_are_those_of_the_values():
    values = np.random.default_rng(1).lognormal(-3, 1.5, 20_000)
    buckets = histogram(values)
    reached = np.cumsum([one.count for one in buckets]) / values.size
    for q in (0.5, 0.9, 0.99, 0.999):
        found = buckets[int(np.searchsorted(reached, q))]
        assert found.low_s * 0.99 <= np.quantile(values, q) <= found.high_s * 1.01


@given(durations, st.integers(1, 40))
def test_columns_hold_all_values(values, columns):
    counts = log_columns(histogram(values), columns)
    assert (len(counts), sum(counts)) == (columns, len(values))


def test_nothing_has_no_buckets_and_what_is_negative_is_zero():
    assert histogram([]) == ()
    assert [(one.low_s, one.count) for one in histogram([-1.0, 0.0])] == [(0.0, 2)]
