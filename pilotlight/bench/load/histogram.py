"""A histogram of durations with buckets whose width grows with the value (HDR: high dynamic range). Pure.

A value is taken as whole microseconds. Below 256 each has a bucket of its own; above, every power of two is divided
into 128 buckets of one width, so that no bucket is wider than 1/128 of its values. 3,328 buckets reach past an hour.
(The layout is that of Gil Tene's HdrHistogram.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.load.results import Bucket
from pilotlight.bench.stats.intervals import Values, as_row

__all__ = ["bucket_bounds", "bucket_indices", "histogram", "log_columns"]

_UNIT_S = 1e-6
_BITS = 8  # of a value that are kept: 128 to 255
_HALF = 1 << (_BITS - 1)


def histogram(values_s: Values) -> tuple[Bucket, ...]:
    """The buckets that hold any of ``values_s``, ascending; what is negative counts as 0."""
    indices, counts = np.unique(bucket_indices(values_s), return_counts=True)
    found = zip(indices.tolist(), counts.tolist(), strict=True)
    return tuple(_bucket(index, count) for index, count in found)


def bucket_indices(values_s: Values) -> NDArray[np.int64]:
    """The number of the bucket of each value; a larger value has no smaller number."""
    units = np.maximum(np.rint(as_row(values_s) / _UNIT_S), 0).astype(np.int64)
    lengths = np.frexp(units.astype(np.float64))[1]  # in bits; exact up to 2**53 microseconds: 285 years
    shifts = np.maximum(lengths - _BITS, 0).astype(np.int64)
    indices: NDArray[np.int64] = shifts * _HALF + (units >> shifts)
    return indices


def bucket_bounds(index: int) -> tuple[float, float]:
    """The least value of a bucket and that of the next one, in seconds."""
    shift = max(index // _HALF - 1, 0)
    low = index - shift * _HALF
    return (low << shift) * _UNIT_S, ((low + 1) << shift) * _UNIT_S


def log_columns(buckets: Sequence[Bucket], columns: int) -> list[int]:
    """How many values lie in each of ``columns`` equal parts of the logarithm of the time, from the least to the most.

    Each bucket counts where its middle lies.
    """
    middles = np.asarray([max(one.low_s + one.high_s, _UNIT_S) / 2 for one in buckets])
    edges = np.geomspace(middles[0], max(middles[-1], middles[0] * 1.01), columns + 1)
    places = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, columns - 1)
    counts = np.bincount(places, weights=[one.count for one in buckets], minlength=columns)
    return [int(count) for count in counts]


def _bucket(index: int, count: int) -> Bucket:
    low_s, high_s = bucket_bounds(index)
    return Bucket(low_s=low_s, high_s=high_s, count=count)
