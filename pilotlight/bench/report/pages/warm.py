"""The section of the page about warm-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from pilotlight.bench.report.charts.chart import Chart
from pilotlight.bench.report.markup import Html, tag
from pilotlight.bench.report.pages.parts import NOTHING, card, cards, failures, folded, picture, section, table
from pilotlight.bench.report.verdicts import between
from pilotlight.bench.stats.warmup import ProcessWarmup, Warmup, format_seconds
from pilotlight.bench.warm.results import WarmProcess, WarmResult
from pilotlight.bench.warm.summary import steady_interval

__all__ = ["warm_section"]

_NOTE = (
    "Each process repeated the same prediction, and has its own panel. A changepoint is a lasting change of the times' "
    "mean or spread, found by PELT. The axis is logarithmic if the times differ much."
)


def warm_section(result: WarmResult, charts: Sequence[Chart]) -> Html:
    """Return steady times, failures, the charts, and a table of every process."""
    warmups = {info.name: result.warmup(info.name) for info in result.projects}
    settled = {name: warmup for name, warmup in warmups.items() if warmup is not None}
    failed = [failures(info.name, _messages(result.failures(info.name))) for info in result.projects]
    return section(
        "warm",
        "Warm-up",
        *failed,
        None if settled else tag("p", "No process ran all of its predictions."),
        cards(_card(name, warmup, result.measured(name)) for name, warmup in settled.items()),
        *(picture(chart, _NOTE) for chart in charts),
        _figures(result, settled) if settled else None,
        folded("Every prediction, in seconds", *_times(result)) if settled else None,
    )


def _messages(failed: Sequence[WarmProcess]) -> Counter[str]:
    return Counter(
        f"{one.outcome.replace('_', ' ')} after {len(one.times_s)} predictions: {one.message or 'no message'}"
        for one in failed
    )


def _card(name: str, warmup: Warmup, processes: Sequence[WarmProcess]) -> Html:
    steady = steady_interval(processes)
    if warmup.steady is None or steady is None:
        return card(name, str(warmup.shape), warmup.sentence)
    levels = [one.steady_s for one in warmup.processes if one.steady_s is not None]
    takes = format_seconds(median(levels))
    return card(name, takes, f"per prediction in the steady state; {between(steady)}", warmup.sentence)


def _figures(result: WarmResult, settled: dict[str, Warmup]) -> Html:
    heads = ["project", "process", "shape", "predictions", "to steady", "in", "first/steady", "warm-up cost", "steady"]
    heads += ["ready", "load", "steal"]
    rows = [
        _row(one, found)
        for name, warmup in settled.items()
        for one, found in zip(result.measured(name), warmup.processes, strict=True)
    ]
    return table("Every process", heads, rows, words=3)


def _row(one: WarmProcess, found: ProcessWarmup) -> Sequence[str]:
    figures = [NOTHING] * 5
    if found.steady_s is not None:
        span, cost, steady = (
            format_seconds(value or 0.0) for value in (found.seconds_to_steady, found.debt_s, found.steady_s)
        )
        figures = [str(found.iterations_to_steady), span, f"{found.first_to_steady or 0.0:.2f}", cost, steady]
    return (
        one.project,
        str(one.round + 1),
        str(found.shape),
        str(found.iterations),
        *figures,
        NOTHING if one.ready_s is None else f"{one.ready_s:.3f} s",
        f"{one.load_1m:.2f}",
        NOTHING if one.steal_share is None else f"{one.steal_share:.1%}",
    )


def _times(result: WarmResult) -> Iterator[Html]:
    for one in result.processes:
        if one.times_s:
            yield tag("h3", f"{one.project}, process {one.round + 1}")
            yield tag("p", " ".join(f"{time_s:.6f}" for time_s in one.times_s), class_="raw")
