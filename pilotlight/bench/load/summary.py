"""Compute the figures of a step from its raw values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.load.histogram import histogram
from pilotlight.bench.load.objectives import Objective
from pilotlight.bench.load.results import Distribution, Goodput, Quantile, Requests, Summary
from pilotlight.bench.stats.intervals import TooSmall, Values, as_row, quantile_interval

__all__ = ["QUANTILES", "distribution", "summarize_step"]

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
_TIMED = ("succeeded", "timed_out")
_Row = NDArray[np.float64]


def summarize_step(
    requests: Requests, *, window_s: float, open_loop: bool, streamed: bool, objectives: Sequence[Objective]
) -> Summary:
    """Return the figures of a step; see ``results.Summary``.

    Args:
        requests: the requests of the step.
        window_s: the seconds that rates refer to.
        open_loop: whether its intended starts are a schedule.
        streamed: whether outputs came one by one.
        objectives: the objectives for the goodput.
    """
    intended, sent, done, first = _times(requests)
    timed = np.isin(np.asarray(requests.outcome, dtype=str), _TIMED) & np.isfinite(done)
    succeeded = np.asarray([one == "succeeded" for one in requests.outcome], dtype=bool)
    within = succeeded & (done <= window_s)
    began = succeeded & np.isfinite(first)
    outputs = _shares_within(requests, window_s, done)
    tokens = None
    if succeeded.any() and all(requests.tokens[i] is not None for i in np.flatnonzero(succeeded)):
        tokens = sum((requests.tokens[i] or 0) * outputs[i] for i in np.flatnonzero(succeeded))
    return Summary(
        window_s=window_s,
        counts=dict(Counter(requests.outcome)),
        queued=sum(refusals > 0 for refusals in requests.refusals),
        offered_per_s=len(requests) / window_s if open_loop else None,
        achieved_per_s=int(within.sum()) / window_s,
        response=distribution((done - intended)[timed]),
        service=distribution((done - sent)[timed & np.isfinite(sent)]),
        first_output=distribution((first - intended)[began]) if streamed else None,
        service_first_output=distribution((first - sent)[began]) if streamed else None,
        between_outputs=distribution(_between(requests, succeeded)) if streamed else None,
        outputs_per_s=sum(requests.outputs[i] * outputs[i] for i in np.flatnonzero(succeeded)) / window_s,
        tokens_per_s=None if tokens is None else tokens / window_s,
        goodput=tuple(
            _goodput(one, (first if one.first_output else done) - intended, succeeded, within, window_s)
            for one in objectives
        ),
    )


def distribution(values_s: Values) -> Distribution:
    """Return the distribution of the values; see ``results.Distribution``."""
    data = as_row(values_s)
    n = data.size
    return Distribution(
        n=n,
        mean_s=float(data.mean()) if n else None,
        max_s=float(data.max()) if n else None,
        quantiles=tuple(_quantile(data, q) for q in QUANTILES),
        histogram=histogram(data),
    )


def _quantile(data: _Row, q: float) -> Quantile:
    found = quantile_interval(data, q)
    if isinstance(found, TooSmall):
        return Quantile(q=q, value_s=None, low_s=None, high_s=None, needed=found.needed)
    return Quantile(q=q, value_s=found.value, low_s=found.low, high_s=found.high, needed=None)


def _times(requests: Requests) -> tuple[_Row, _Row, _Row, _Row]:
    """Return the times intended, sent, done and first output, with NaN for those not reached."""
    first = [times[0] if times else None for times in requests.output_s]
    columns = (requests.intended_s, requests.sent_s, requests.done_s, first)
    intended, sent, done, firsts = (np.asarray(column, dtype=np.float64) for column in columns)
    return intended, sent, done, firsts


def _shares_within(requests: Requests, window_s: float, done: _Row) -> list[float]:
    """Return the share of each request's output that came within the window."""
    return [
        sum(time <= window_s for time in times) / len(times) if times else float(end <= window_s)
        for times, end in zip(requests.output_s, done.tolist(), strict=True)
    ]


def _between(requests: Requests, succeeded: NDArray[np.bool_]) -> _Row:
    gaps = [np.diff(requests.output_s[i]) for i in np.flatnonzero(succeeded) if len(requests.output_s[i]) > 1]
    return np.concatenate(gaps) if gaps else np.zeros(0)


def _goodput(
    objective: Objective, times: _Row, succeeded: NDArray[np.bool_], within: NDArray[np.bool_], window_s: float
) -> Goodput:
    # A missing time (NaN) meets no objective.
    met = succeeded & (times <= objective.limit_s)
    return Goodput(
        objective=objective.name,
        met=int(met.sum()),
        share=float(met.mean()) if met.size else 0.0,
        per_s=int((met & within).sum()) / window_s,
    )
