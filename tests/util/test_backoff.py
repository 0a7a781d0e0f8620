"""The delays between tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.util.backoff import Backoff


def test_delays_double_up_to_the_longest():
    backoff = Backoff(first_s=0.5, max_s=6)
    assert [backoff.delay_s(failures) for failures in range(7)] == [0, 0.5, 1, 2, 4, 6, 6]


def test_equal_bounds_make_every_delay_the_same():
    assert {Backoff(first_s=60, max_s=60).delay_s(failures) for failures in range(1, 9)} == {60}


@pytest.mark.parametrize(("spread", "delays"), [(0.0, [8, 8, 8]), (0.5, [4, 6, 8]), (1.0, [0, 4, 8])])
def test_jitter_takes_away_a_share_of_the_delay(spread, delays):
    backoff = Backoff(first_s=1, max_s=8, spread=spread)
    assert [backoff.delay_s(4, jitter=jitter) for jitter in (0.0, 0.5, 1.0)] == delays


def test_the_next_try_is_counted_from_the_last_failure():
    assert Backoff(first_s=2, max_s=8).retry_at(2, now=100) == 104


@given(failures=st.integers(0, 10**9), jitter=st.floats(0, 1), spread=st.floats(0, 1))
def test_a_delay_is_never_negative_and_never_above_the_longest(failures, jitter, spread):
    assert 0 <= Backoff(first_s=0.5, max_s=30, spread=spread).delay_s(failures, jitter=jitter) <= 30
