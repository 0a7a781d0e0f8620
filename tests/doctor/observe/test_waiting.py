"""How long processes waited for a processor."""

import os

import pytest

from pilotlight.doctor.observe.waiting import waited_s, waits


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        ({}, {}, None),
        ({}, {(1, 1): 2 * 10**9}, 2.0),
        ({(1, 1): 10**9}, {(1, 1): 2 * 10**9}, 1.0),
        # Threads of a process wait beside each other; processes one after the other.
        ({(1, 1): 10**9}, {(1, 1): 2 * 10**9, (1, 2): 3 * 10**9}, 3.0),
        ({(1, 1): 10**9}, {(1, 1): 2 * 10**9, (2, 2): 3 * 10**9}, 4.0),
        ({(1, 1): 10**9, (1, 2): 10**9}, {(1, 1): 10**9}, 0.0),  # a thread has ended
    ],
)
def test_between_two_looks(before, after, seconds):
    assert waited_s(before, after) == seconds


def test_threads_of_this_process_are_counted_only_if_asked_for():
    group = os.getpgid(0)
    with_ours = waits(group)
    assert {process for process, _ in with_ours} >= {os.getpid()}
    assert os.getpid() not in {process for process, _ in waits(2**22 + 1, ours=False)}
    assert all(nanoseconds >= 0 for nanoseconds in with_ours.values())
