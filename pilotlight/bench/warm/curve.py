"""Draw a series of times as one line of text. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

__all__ = ["CHANGE", "curve"]

CHANGE = "│"
_CELLS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60


def curve(times_s: Sequence[float], cuts: Collection[int], low_s: float, high_s: float) -> str:
    """Return at most 60 cells whose height is a time's logarithm; a cell for several times shows the slowest.

    Args:
        times_s: the times in order.
        cuts: the index of the first time after each change, which is preceded by ``CHANGE``.
        low_s: the time of the lowest cell.
        high_s: the time of the highest cell.
    """
    width = max(1, math.ceil(len(times_s) / _COLUMNS))
    changed = {cut // width for cut in cuts}
    cells = []
    for column, start in enumerate(range(0, len(times_s), width)):
        height = math.log(max(times_s[start : start + width]) / low_s) / math.log(high_s / low_s)
        cell = _CELLS[min(max(round(height * (len(_CELLS) - 1)), 0), len(_CELLS) - 1)]
        cells.append(CHANGE + cell if column in changed else cell)
    return "".join(cells)
