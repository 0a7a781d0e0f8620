"""How versions share workers."""

from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway.scheduler.budget import Demand, WorkerBudget, allot, split_minimum


@st.composite
def demands(draw):
    return draw(
        st.lists(
            st.builds(
                Demand,
                needed=st.integers(0, 9),
                workers=st.integers(0, 9),
                min_workers=st.integers(0, 3),
                waiting_since=st.none() | st.floats(0, 100),
            ),
            max_size=5,
        )
    )


@given(st.integers(1, 9), demands())
def test_there_are_never_more_than_the_bound_and_the_longest_wait_is_served(max_workers, several):
    allotted = allot(max_workers, several)
    assert sum(allotted) <= max_workers
    assert min(allotted, default=0) >= 0
    waiting = sorted((one.waiting_since, index) for index, one in enumerate(several) if one.waiting_since is not None)
    for _, index in waiting[:max_workers]:
        assert allotted[index] >= 1


@given(st.integers(1, 9), demands())
def test_nothing_is_left_over_while_anybody_needs_or_has_more(max_workers, several):
    allotted = allot(max_workers, several)
    if sum(allotted) < max_workers:
        for one, granted in zip(several, allotted, strict=True):
            assert granted >= max(one.needed, one.workers, one.min_workers)


def test_idle_workers_make_room_and_busy_ones_do_not():
    busy, idle, lacking = Demand(2, 2), Demand(0, 2), Demand(3, 1, waiting_since=1.0)
    assert allot(4, [busy, idle, lacking]) == [2, 0, 2]
    assert allot(4, [busy, idle]) == [2, 2]


def test_the_least_number_comes_before_further_needs_and_after_whoever_waits_for_longest():
    assert allot(2, [Demand(5, 2), Demand(1, 0, min_workers=1)]) == [1, 1]
    assert allot(1, [Demand(1, 0, waiting_since=1.0), Demand(1, 1, min_workers=1)]) == [1, 0]


@given(st.integers(0, 20), st.dictionaries(st.text(max_size=3), st.floats(0.001, 1000), min_size=1, max_size=6))
def test_the_least_workers_are_divided_without_loss_and_to_within_one_of_the_weights(least, weights):
    divided = split_minimum(least, weights)
    assert sum(divided.values()) == least
    total = sum(weights.values())
    assert all(abs(divided[version] - least * weight / total) < 1 + 1e-9 for version, weight in weights.items())


def test_the_one_worker_that_is_always_there_is_of_the_version_with_most_traffic():
    assert split_minimum(1, {"a": 1.0, "b": 9.0}) == {"a": 0, "b": 1}
    assert split_minimum(1, {"a": 1.0, "b": 1.0}) == {"a": 1, "b": 0}


class FakeFleet:
    """Says what it is told to, and counts how often it is asked to decide again."""

    def __init__(self, demand):
        self.now = demand
        self.asked = 0

    def demand(self):
        return self.now

    def rescale(self):
        self.asked += 1


def test_others_are_told_when_they_get_more_or_less_and_only_then():
    budget = WorkerBudget(2)
    first, second = FakeFleet(Demand(0, 2)), FakeFleet(Demand(0, 0))
    budget.join(first)
    budget.join(second)
    assert (budget.allotted(first), budget.room()) == (2, 0)
    told = second.asked
    assert budget.allotted(first) == 2
    assert second.asked == told
    second.now = Demand(1, 0, waiting_since=5.0)
    assert budget.allotted(second) == 1
    assert first.asked == 1
    assert budget.allotted(first) == 1
    assert budget.room() == 0
    first.now = Demand(0, 1)
    assert budget.room() == 1
    budget.resize(3)
    assert (budget.max_workers, budget.room()) == (3, 2)
    budget.leave(first)
    budget.leave(first)
    assert budget.room() == 3
