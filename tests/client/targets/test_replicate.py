"""What is left to tell of an output when its stream has ended."""

import pytest

from pilotlight.client.targets.replicate import rest


@pytest.mark.parametrize(
    ("chunks", "seen", "left"),
    [
        (["a", "b", ""], [], ["a", "b", ""]),
        (["a", "b", "", "c"], ["a", "b"], ["", "c"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b", "c"], ["ab"], ["c"]),
        (["a", "b", "c", "d"], ["ab", "c"], ["d"]),
        (["abc"], ["a", "b"], ["c"]),
        (["a", "b"], ["ab"], []),
        # A return that events cannot carry: only the count is left to go by.
        (["a\r\n", "b"], ["a\n"], ["b"]),
        ([1, {"a": 2}, [3]], [1], [{"a": 2}, [3]]),
    ],
)
def test_nothing_is_told_twice_and_nothing_is_missed(chunks, seen, left):
    assert rest(chunks, seen) == left
