"""Times as one line."""

import pytest

from pilotlight.bench.warm.curve import CHANGE, curve


def test_heights_are_logarithms_and_changes_are_marked():
    assert curve([0.128, 0.016, 0.004, 0.001], [1, 3], 0.001, 0.128) == f"█{CHANGE}▅▃{CHANGE}▁"


def test_what_lies_beyond_the_ends_is_cut_off():
    assert curve([0.0001, 10.0], [], 0.001, 0.128) == "▁█"


@pytest.mark.parametrize(("n", "cells"), [(1, 1), (60, 60), (61, 31), (600, 60), (1000, 59)])
def test_at_most_sixty_cells(n, cells):
    assert len(curve([0.001] * n, [], 0.001, 0.002)) == cells


def test_a_cell_of_several_shows_the_slowest_and_any_change_in_it():
    times_s = [0.001] * 120
    times_s[5] = 0.128
    drawn = curve(times_s, [5, 100], 0.001, 0.128)
    assert drawn == "▁▁" + CHANGE + "█" + "▁" * 47 + CHANGE + "▁" * 10
