"""Decide whether the load generator kept its schedule, and if so, whether the server keeps up. Pure.

A generator that is late, slow or short of processor time measures itself. If one of these checks fails, there is no
verdict, and the numbers are shown with the reasons. The limits:

- ``sent_share``: the rate of actual starts is at least 98 % of the intended one;
- gaps between actual starts: their coefficient of variation is within 0.1 of the intended one (0.25 for constant
  arrivals, which any lateness disturbs), their autocorrelation within 0.1; plus four standard errors each;
- lateness and the event loop's lag, p99: below a tenth of the median service time, or 5 ms if that is more;
- processor time: below 80 % of one core, above which an event loop itself builds a queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.load.arrivals import gap_autocorrelation, gap_cv
from pilotlight.bench.load.results import Audit, Generator, LoadVerdict, Requests, Summary
from pilotlight.bench.stats.warmup import format_seconds

__all__ = ["Arrivals", "audit_step", "judge"]

Arrivals = Literal["poisson", "constant", "trace"]

_RATE_OFF = 0.02
_GAPS_OFF = 0.1
_CONSTANT_GAPS_OFF = 0.25
_STANDARD_ERRORS = 4.0
_LATE_SHARE = 0.1
_LATE_S = 0.005
_BUSY_SHARE = 0.8
# A larger share of refusals and timeouts means overload.
_REFUSED_SHARE = 0.01
# A growing queue is 1.8 times as long in its last fifth as around the middle; the length of a steady one is constant.
_GROWTH = 1.4
_LEFT_SHARE = 0.05
# The limit of a service time as a share of a step: with longer ones, a steady queue still fills around the middle.
_LONGEST_SHARE = 0.25


def audit_step(requests: Requests, generator: Generator, summary: Summary, arrivals: Arrivals | None) -> Audit:
    """Return the audit, see ``results.Audit``; ``arrivals`` is ``None`` for a closed loop, which has no schedule."""
    pairs = [
        (intended, started)
        for intended, started in zip(requests.intended_s, requests.started_s, strict=True)
        if started is not None
    ]
    intended, started = np.asarray(pairs, dtype=np.float64).reshape(-1, 2).T
    asked_cv, asked_correlation = _asked(arrivals, np.asarray(requests.intended_s, dtype=np.float64))
    planned = arrivals is not None
    found = Audit(
        sent_share=_sent_share(requests, started) if planned else None,
        gap_cv=gap_cv(started) if planned else None,
        asked_gap_cv=asked_cv,
        gap_autocorrelation=gap_autocorrelation(started) if asked_correlation is not None else None,
        asked_gap_autocorrelation=asked_correlation,
        lateness_p99_s=float(np.quantile(started - intended, 0.99)) if planned and started.size else None,
        cpu_share=generator.cpu_s / generator.wall_s if generator.wall_s > 0 else 0.0,
        lag_p99_s=float(np.quantile(generator.lags_s, 0.99)) if generator.lags_s else None,
        problems=(),
    )
    return found.model_copy(update={"problems": tuple(_problems(found, summary, arrivals))})


def judge(requests: Requests, summary: Summary, audit: Audit, *, complete: bool) -> LoadVerdict | None:
    """Return whether the server kept up with the load; ``None`` if the audit or an interruption prevents a verdict."""
    if audit.problems or not complete:
        return None
    if summary.offered_per_s is None:
        return "measured"
    refused = sum(summary.counts.get(outcome, 0) for outcome in ("rejected", "timed_out"))
    if refused > _REFUSED_SHARE * len(requests) or _backlog_grows(requests, summary.window_s):
        return "overloaded"
    return "keeps_up"


def _asked(arrivals: Arrivals | None, intended: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the intended variation and autocorrelation of the gaps."""
    match arrivals:
        case "poisson":
            return 1.0, 0.0
        case "constant":
            # If evenly spaced starts are each a little late, their gaps alternate, which correlates them.
            return 0.0, None
        case "trace":
            return gap_cv(intended), gap_autocorrelation(intended)
        case None:
            return None, None


def _sent_share(requests: Requests, started: NDArray[np.float64]) -> float | None:
    """Return the rate at which requests were sent over the intended rate."""
    intended_s = requests.intended_s[-1] - requests.intended_s[0] if len(requests) > 1 else 0.0
    if started.size == 0 or intended_s <= 0:
        return None
    actual_s = max(float(started[-1]) - requests.intended_s[0], intended_s)
    return started.size / len(requests) * intended_s / actual_s


def _problems(audit: Audit, summary: Summary, arrivals: Arrivals | None) -> Iterator[str]:
    """Yield why the numbers describe the generator as much as the server, and what to change."""
    service = summary.service.quantile(0.5)
    if summary.service.n == 0:
        yield "no request succeeded"
    elif service.value_s is None:
        few = f"needs at least {service.needed} requests for an interval (have {summary.service.n})"
        yield f"{few}: give more --duration"
    elif arrivals is not None and service.value_s > _LONGEST_SHARE * summary.window_s:
        times = f"a prediction takes {format_seconds(service.value_s)}, the step {format_seconds(summary.window_s)}"
        yield f"{times}: give more --duration"
    late_s = max(_LATE_S, _LATE_SHARE * (service.value_s or 0.0))
    if unsent := summary.counts.get("not_sent", 0):
        yield f"{unsent} arrivals were not sent, since too many were in flight: give less load, or more --max-in-flight"
    if audit.sent_share is not None and audit.sent_share < 1 - _RATE_OFF:
        yield f"the generator sent at {audit.sent_share:.1%} of the intended rate"
    if audit.lateness_p99_s is not None and audit.lateness_p99_s > late_s:
        yield f"the generator was late: p99 {audit.lateness_p99_s * 1000:.1f} ms after the intended start"
    if audit.lag_p99_s is not None and audit.lag_p99_s > late_s:
        yield f"the generator's event loop was late: p99 {audit.lag_p99_s * 1000:.1f} ms; stop what else runs here"
    if audit.cpu_share > _BUSY_SHARE:
        yield f"the generator used {audit.cpu_share:.0%} of a processor core: it was the bottleneck"
    yield from _gap_problems(audit, sum(summary.counts.values()), arrivals)


def _gap_problems(audit: Audit, n: int, arrivals: Arrivals | None) -> Iterator[str]:
    cv, asked_cv = audit.gap_cv, audit.asked_gap_cv
    error = _STANDARD_ERRORS / sqrt(n) if arrivals == "poisson" and n else 0.0
    if cv is not None and asked_cv is not None:
        off = _CONSTANT_GAPS_OFF if arrivals == "constant" else _GAPS_OFF * max(asked_cv, 1.0) + error
        if abs(cv - asked_cv) > off:
            yield f"the gaps between starts vary by {cv:.2f} of their mean, intended {asked_cv:.2f}"
    found, asked = audit.gap_autocorrelation, audit.asked_gap_autocorrelation
    if found is not None and asked is not None and abs(found - asked) > _GAPS_OFF + error:
        yield f"successive gaps between starts are correlated (autocorrelation {found:.2f}, intended {asked:.2f})"


def _backlog_grows(requests: Requests, window_s: float) -> bool:
    """Return whether the number of unanswered requests grew while others still arrived."""
    left = _present(requests, window_s, window_s)
    if left < _LEFT_SHARE * len(requests):
        return False
    middle = _present(requests, 0.4 * window_s, 0.6 * window_s)
    return _present(requests, 0.8 * window_s, window_s) > _GROWTH * middle


def _present(requests: Requests, start_s: float, end_s: float) -> float:
    """Return the average number of unanswered requests between two times."""
    intended = np.asarray(requests.intended_s, dtype=np.float64)
    done = np.asarray([np.inf if one is None else one for one in requests.done_s], dtype=np.float64)
    if end_s <= start_s:
        return float(np.sum((intended <= end_s) & (done > end_s)))
    present_s = np.minimum(done, end_s) - np.maximum(intended, start_s)
    return float(np.sum(np.maximum(present_s, 0.0)) / (end_s - start_s))
