"""Draws a series of times as one line of text. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

__all__ = ["CHANGE", "curve"]

CHANGE = "│"
_CELLS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60


def curve(times_s: Sequence[float], cuts: Collection[int], low_s: float, high_s: float) -> str:
    """At most 60 cells, whose height is the logarithm of a time; where there are more times, of the slowest of some.

    Args:
        times_s: in order.
        cuts: the index of the first time after each change; ``CHANGE`` stands in front of it.
        low_s: the lowest cell.
        high_s: the highest.
    """
    width = max(1, math.ceil(len(times_s) / _COLUMNS))
    changed = {cut // width for cut in cuts}
    cells = []
    for column, start in enumerate(range(0, len(times_s), width)):
        height = math.log(max(times_s[start : start + width]) / low_s) / math.log(high_s / low_s)
        cell = _CELLS[min(max(round(height * (len(_CELLS) - 1)), 0), len(_CELLS) - 1)]
        cells.append(CHANGE + cell if column in changed else cell)
    return "".join(cells)
