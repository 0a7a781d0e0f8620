"""A histogram of durations with buckets whose width grows with the value (HDR: high dynamic range). Pure.

A value is rounded to whole microseconds. Each value below 256 has its own bucket; above, every power of two is divided
into 128 equal buckets, so no bucket is wider than 1/128 of its values. 3,328 buckets cover more than an hour.
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
_BITS = 8  # significant bits that are kept: values 128 to 255
_HALF = 1 << (_BITS - 1)


def histogram(values_s: Values) -> tuple[Bucket, ...]:
    """Return the buckets that contain any of ``values_s``, ascending; negative values count as 0."""
    indices, counts = np.unique(bucket_indices(values_s), return_counts=True)
    found = zip(indices.tolist(), counts.tolist(), strict=True)
    return tuple(_bucket(index, count) for index, count in found)


def bucket_indices(values_s: Values) -> NDArray[np.int64]:
    """Return the bucket number of each value; larger values never have smaller numbers."""
    units = np.maximum(np.rint(as_row(values_s) / _UNIT_S), 0).astype(np.int64)
    lengths = np.frexp(units.astype(np.float64))[1]  # in bits; exact up to 2**53 microseconds: 285 years
    shifts = np.maximum(lengths - _BITS, 0).astype(np.int64)
    indices: NDArray[np.int64] = shifts * _HALF + (units >> shifts)
    return indices


def bucket_bounds(index: int) -> tuple[float, float]:
    """Return the least value of a bucket and of the next one, in seconds."""
    shift = max(index // _HALF - 1, 0)
    low = index - shift * _HALF
    return (low << shift) * _UNIT_S, ((low + 1) << shift) * _UNIT_S


def log_columns(buckets: Sequence[Bucket], columns: int) -> list[int]:
    """Return the number of values in each of ``columns`` equal parts of the logarithmic range.

    Each bucket counts at its middle.
    """
    middles = np.asarray([max(one.low_s + one.high_s, _UNIT_S) / 2 for one in buckets])
    edges = np.geomspace(middles[0], max(middles[-1], middles[0] * 1.01), columns + 1)
    places = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, columns - 1)
    counts = np.bincount(places, weights=[one.count for one in buckets], minlength=columns)
    return [int(count) for count in counts]


def _bucket(index: int, count: int) -> Bucket:
    low_s, high_s = bucket_bounds(index)
    return Bucket(low_s=low_s, high_s=high_s, count=count)
