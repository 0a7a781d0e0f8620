"""Compute the intended start times of an open loop's requests: seconds since the start of a step, ascending. Pure.

Every schedule is an array made before the step begins, so that a late generator does not change it.
"""

from __future__ import annotations

import csv
import os
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilotlight.errors import UsageError

__all__ = ["MAX_ARRIVALS", "Schedule", "constant", "gap_autocorrelation", "gap_cv", "poisson", "read_trace", "replay"]

Schedule = NDArray[np.float64]

# The limit of one step; the raw values of so many arrivals fill a file of a few hundred megabytes.
MAX_ARRIVALS = 1_000_000
# Names of the column with the arrival times, as in published traces.
_TIME_COLUMNS = ("timestamp", "arrival_timestamp", "arrival_time", "arrived_at", "time", "arrival")


def constant(rate: float, *, duration_s: float | None, requests: int | None) -> Schedule:
    """Return one arrival every ``1 / rate`` seconds, the first at 0, up to the duration or ``requests``."""
    n = _count(rate, duration_s, requests)
    times: Schedule = np.arange(n, dtype=np.float64) / rate
    return times


def poisson(rate: float, *, duration_s: float | None, requests: int | None, seed: tuple[int, ...]) -> Schedule:
    """Return arrivals with independent exponential gaps of mean ``1 / rate``, as from independent users.

    Args:
        rate: the average number of arrivals per second.
        duration_s: the time of the last possible arrival, in seconds.
        requests: the most arrivals.
        seed: the seed of the arrivals; give each step its own.

    Raises:
        UsageError: no arrival falls into ``duration_s``, or too many do.
    """
    n = _count(rate, duration_s, requests)
    chance = np.random.default_rng(seed)
    # Six standard deviations above the mean are enough for any duration.
    times: Schedule = np.cumsum(chance.exponential(1 / rate, n + int(6 * np.sqrt(n)) + 10))
    if duration_s is not None:
        times = times[times < duration_s]
    times = times[:requests]
    if times.size == 0:
        raise UsageError(f"--rate {rate:g}: no arrival falls into {duration_s:g} s; give more --duration")
    return times


def replay(trace: Schedule, *, scale: float, duration_s: float | None, requests: int | None) -> Schedule:
    """Return a trace from its beginning, played ``scale`` times faster than recorded, up to the limits.

    Raises:
        UsageError: too many arrivals remain.
    """
    times: Schedule = (trace - trace[0]) / scale
    if duration_s is not None:
        times = times[times < duration_s]
    times = times[:requests]
    if times.size > MAX_ARRIVALS:
        raise UsageError(f"--trace: {times.size:,} arrivals, but a step takes {MAX_ARRIVALS:,}; give less --duration")
    return times


def read_trace(path: Path) -> Schedule:
    """Return the arrivals in a CSV file with a header, in seconds since the first.

    The column is called ``TIMESTAMP`` or similar; it holds seconds, or dates with times in ISO 8601.

    Raises:
        UsageError: the file cannot be read, has no such column, or a value in the column is neither.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = [name.strip().lower() for name in next(rows, [])]
            column = next((header.index(name) for name in _TIME_COLUMNS if name in header), None)
            if column is None:
                raise UsageError(
                    f"--trace {path}: no column of times in the first line; call one of them {_TIME_COLUMNS[0]!r}"
                )
            times = [_seconds(path, rows.line_num, row, column) for row in rows if row]
    except OSError as error:
        raise UsageError(f"--trace {path}: {os.strerror(error.errno or 0)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--trace {path} is not a CSV file: {error}") from error
    if len(times) < 2:
        raise UsageError(f"--trace {path}: has {len(times)} arrivals; at least 2 are needed")
    ordered: Schedule = np.sort(np.asarray(times, dtype=np.float64))
    return np.asarray(ordered - ordered[0])


def gap_cv(times: Schedule) -> float | None:
    """Return the standard deviation of the gaps over their mean; ``None`` for fewer than two gaps or only zero gaps."""
    gaps = np.diff(times)
    if gaps.size < 2 or gaps.mean() <= 0:
        return None
    return float(gaps.std(ddof=1) / gaps.mean())


def gap_autocorrelation(times: Schedule) -> float | None:
    """Return the correlation of each gap with the next, 0 if independent; ``None`` for under three different gaps."""
    gaps = np.diff(times)
    if gaps.size < 3:
        return None
    away = gaps - gaps.mean()
    squares = float(np.sum(away**2))
    return float(np.sum(away[:-1] * away[1:]) / squares) if squares > 0 else None


def _count(rate: float, duration_s: float | None, requests: int | None) -> int:
    """Return the expected number of arrivals."""
    limits = [float(requests)] if requests is not None else []
    # 0.1 * 30 is slightly below 3 because of rounding, so the difference is not a missing arrival.
    limits += [float(np.ceil(duration_s * rate - 1e-9))] if duration_s is not None else []
    assert limits, "this is a bug: a schedule without an end"
    if min(limits) > MAX_ARRIVALS:
        raise UsageError(
            f"--rate {rate:g}: {min(limits):,.0f} arrivals, but a step takes {MAX_ARRIVALS:,}; give less --duration"
        )
    return max(int(min(limits)), 1)


def _seconds(path: Path, line: int, row: list[str], column: int) -> float:
    text = row[column].strip() if column < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        try:
            value = datetime.fromisoformat(text).timestamp()
        except ValueError:
            value = np.nan
    if not np.isfinite(value):
        raise UsageError(f"--trace {path}, line {line}: {text!r} is neither seconds nor a date and time as in ISO 8601")
    return value
