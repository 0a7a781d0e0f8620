"""The queue that owners share."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.fair_queue import FairQueue, has_room
from tests.gateway.made import made_record

OWNERS = st.sampled_from([None, "a", "b", "c"])


def made(name, owner=None, created_at=0.0):
    return ActivePrediction(made_record(name, owner=owner, created_at=created_at))


def filled(*names):
    """A queue with predictions such as a1, whose first letter is their owner."""
    queue = FairQueue()
    for number, name in enumerate(names):
        queue.append(made(name, name[0], float(number)))
    return queue


def nothing_runs():
    return {}


def test_owners_take_turns():
    queue = filled("a1", "a2", "a3", "b1", "a4", "c1")
    assert [queue.pop(nothing_runs).id for _ in range(len(queue))] == ["a1", "b1", "c1", "a2", "a3", "a4"]
    assert (len(queue), list(queue), queue.oldest_at) == (0, [], None)


def test_the_owner_with_fewer_running_is_first():
    queue = filled("a1", "a2", "b1", "b2")
    running = Counter(a=3, b=1)
    order = []
    while queue:
        active = queue.pop(lambda: running)
        running[active.owner] += 1
        order.append(active.id)
    assert order == ["b1", "b2", "a1", "a2"]


def test_one_prediction_is_taken_out():
    queue = filled("a1", "b1", "a2")
    b1 = list(queue)[2]
    assert (b1.id, queue.remove(b1), queue.remove(b1)) == ("b1", True, False)
    assert ([one.id for one in queue], queue.oldest_at, queue.counts()) == (["a1", "a2"], 0.0, {"a": 2})


@given(st.lists(OWNERS, max_size=30))
def test_one_owner_is_a_plain_queue_and_nobody_waits_for_more_than_a_turn_of_each_other(owners):
    queue = FairQueue()
    for number, owner in enumerate(owners):
        queue.append(made(str(number), owner))
    order = [queue.pop(nothing_runs) for _ in owners]
    for owner in set(owners):
        own = [one.id for one in order if one.owner == owner]
        assert own == [str(number) for number, other in enumerate(owners) if other == owner]
        places = [place for place, one in enumerate(order) if one.owner == owner]
        assert all(later - earlier <= len(set(owners)) for earlier, later in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("waiting", "owner", "most", "expected"),
    [
        ({}, None, 0, False),
        ({}, None, 1, True),
        ({None: 9}, None, 10, True),
        ({None: 10}, None, 10, False),
        ({"a": 10}, "a", 10, False),
        ({"a": 10}, "b", 10, True),
        ({"a": 10, "b": 4}, "b", 10, True),
        ({"a": 10, "b": 5}, "b", 10, False),
        ({"a": 10, "b": 5}, "c", 10, True),
        ({"a": 1}, "b", 1, True),
        ({"a": 1, "b": 1}, "b", 1, False),
    ],
)
def test_who_has_room(waiting, owner, most, expected):
    assert has_room(waiting, owner, most) is expected


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=300), st.integers(0, 20))
def test_a_queue_never_holds_more_than_it_promises(steps, most):
    waiting = Counter()
    for owner, leaves in steps:
        if leaves and waiting[owner]:
            waiting[owner] -= 1
        elif has_room(+waiting, owner, most):
            waiting[owner] += 1
        assert waiting.total() <= sum(most / n for n in range(1, 7)) + 6
