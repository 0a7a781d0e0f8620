"""Computes the intended start times of the requests of an open loop: seconds since the start of a step, ascending.
Pure.

Every schedule is a whole array, made before the step begins: a generator that falls behind cannot bend it.
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

# Of one step; the raw values of so many fill a file of a few hundred megabytes.
MAX_ARRIVALS = 1_000_000
# The column of a trace that says when a request came, in the spellings that published traces have.
_TIME_COLUMNS = ("timestamp", "arrival_timestamp", "arrival_time", "arrived_at", "time", "arrival")


def constant(rate: float, *, duration_s: float | None, requests: int | None) -> Schedule:
    """One arrival every ``1 / rate`` seconds, the first at 0; as many as fit, or ``requests`` if those are fewer."""
    n = _count(rate, duration_s, requests)
    times: Schedule = np.arange(n, dtype=np.float64) / rate
    return times


def poisson(rate: float, *, duration_s: float | None, requests: int | None, seed: tuple[int, ...]) -> Schedule:
    """Independent exponential gaps with a mean of ``1 / rate``: users who know nothing of each other.

    Args:
        rate: arrivals per second, on average.
        duration_s: none comes later.
        requests: no more than that.
        seed: the same one gives the same arrivals; give every step its own.

    Raises:
        UsageError: no arrival falls into ``duration_s``, or too many do.
    """
    n = _count(rate, duration_s, requests)
    chance = np.random.default_rng(seed)
    # Beyond six standard deviations no duration needs more.
    times: Schedule = np.cumsum(chance.exponential(1 / rate, n + int(6 * np.sqrt(n)) + 10))
    if duration_s is not None:
        times = times[times < duration_s]
    times = times[:requests]
    if times.size == 0:
        raise UsageError(f"--rate {rate:g}: no arrival falls into {duration_s:g} s; give more --duration")
    return times


def replay(trace: Schedule, *, scale: float, duration_s: float | None, requests: int | None) -> Schedule:
    """A trace played ``scale`` times faster than it was recorded, from its beginning, as far as asked for.

    Raises:
        UsageError: too many arrivals are left.
    """
    times: Schedule = (trace - trace[0]) / scale
    if duration_s is not None:
        times = times[times < duration_s]
    times = times[:requests]
    if times.size > MAX_ARRIVALS:
        raise UsageError(f"--trace: {times.size:,} arrivals, a step takes {MAX_ARRIVALS:,}; give less --duration")
    return times


def read_trace(path: Path) -> Schedule:
    """The arrivals in a CSV file with a header, in seconds since the first.

    The column is the one called ``TIMESTAMP`` or alike; it holds seconds, or dates with times in ISO 8601.

    Raises:
        UsageError: it cannot be read, has no such column, or a value in it is neither.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = [name.strip().lower() for name in next(rows, [])]
            column = next((header.index(name) for name in _TIME_COLUMNS if name in header), None)
            if column is None:
                raise UsageError(
                    f"--trace {path}: its first line names no column of times; call one of them {_TIME_COLUMNS[0]!r}"
                )
            times = [_seconds(path, rows.line_num, row, column) for row in rows if row]
    except OSError as error:
        raise UsageError(f"--trace {path}: {os.strerror(error.errno or 0)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--trace {path} is no CSV file: {error}") from error
    if len(times) < 2:
        raise UsageError(f"--trace {path}: has {len(times)} arrivals; at least 2 are needed")
    ordered: Schedule = np.sort(np.asarray(times, dtype=np.float64))
    return np.asarray(ordered - ordered[0])


def gap_cv(times: Schedule) -> float | None:
    """Standard deviation of the gaps over their mean; ``None`` for fewer than two gaps, or none that has a length."""
    gaps = np.diff(times)
    if gaps.size < 2 or gaps.mean() <= 0:
        return None
    return float(gaps.std(ddof=1) / gaps.mean())


def gap_autocorrelation(times: Schedule) -> float | None:
    """Of each gap with the next one: 0 where arrivals are independent; ``None`` for fewer than three different gaps."""
    gaps = np.diff(times)
    if gaps.size < 3:
        return None
    away = gaps - gaps.mean()
    squares = float(np.sum(away**2))
    return float(np.sum(away[:-1] * away[1:]) / squares) if squares > 0 else None


def _count(rate: float, duration_s: float | None, requests: int | None) -> int:
    """How many arrivals are expected."""
    limits = [float(requests)] if requests is not None else []
    # What 0.1 * 30 lacks to 3 is rounding, not an arrival.
    limits += [float(np.ceil(duration_s * rate - 1e-9))] if duration_s is not None else []
    assert limits, "this is a bug: a schedule without an end"
    if min(limits) > MAX_ARRIVALS:
        raise UsageError(
            f"--rate {rate:g}: {min(limits):,.0f} arrivals, a step takes {MAX_ARRIVALS:,}; give less --duration"
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
