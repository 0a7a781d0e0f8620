from hypothesis import given
from hypothesis import strategies as st

from pilotlight.runtime.restarts import RestartPolicy, Restarts

POLICY = RestartPolicy(first_delay_s=0.5, max_delay_s=30, stable_s=60, give_up_after=3)


def test_the_first_failure_is_answered_at_once():
    assert Restarts().became_ready(now=100).broke(POLICY, now=101).delay_s(now=101) == 0


def test_failures_in_a_row_double_the_delay_up_to_the_limit():
    state = Restarts()
    delays = []
    for _ in range(10):
        state = state.became_ready(now=0).broke(POLICY, now=1)
        delays.append(state.delay_s(now=1))
    assert delays == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_delay_runs_down():
    state = Restarts(failures=3).became_ready(now=0).broke(POLICY, now=10)
    assert [state.delay_s(now) for now in (10, 11, 12, 13)] == [2, 1, 0, 0]


def test_a_worker_that_stayed_up_ends_the_row():
    state = Restarts(failures=7).became_ready(now=0)
    assert state.broke(POLICY, now=59.9).failures == 8
    assert state.broke(POLICY, now=60).failures == 1


def test_failed_setups_in_a_row_are_a_crash_loop():
    state = Restarts()
    for crash_looping in (False, False, True):
        state = state.setup_failed(POLICY, now=0)
        assert state.crash_looping(POLICY) is crash_looping


def test_a_setup_that_succeeds_ends_the_row_of_failed_ones():
    state = Restarts().setup_failed(POLICY, 0).setup_failed(POLICY, 0).became_ready(0).broke(POLICY, 0)
    assert not state.setup_failed(POLICY, now=0).crash_looping(POLICY)
    assert state.failures == 3


@given(failures=st.integers(0, 10**6), now=st.floats(0, 1e9))
def test_the_delay_is_never_negative_nor_above_the_limit(failures, now):
    state = Restarts(failures=failures).setup_failed(POLICY, now)
    assert 0 <= state.delay_s(now) <= POLICY.max_delay_s + 1e-6
