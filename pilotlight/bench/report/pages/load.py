"""The section of the page about load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pilotlight.bench.load.render import level
from pilotlight.bench.load.results import Distribution, LoadResult, StepResult
from pilotlight.bench.report.charts.chart import Chart
from pilotlight.bench.report.markup import Html
from pilotlight.bench.report.pages.parts import NOTHING, bullets, card, cards, folded, picture, section, table
from pilotlight.bench.stats.warmup import format_seconds

__all__ = ["load_section"]

_VERDICTS = {"keeps_up": "keeps up", "overloaded": "overloaded", "measured": "measured", None: "no verdict"}
_SHOWN = (0.5, 0.9, 0.95, 0.99, 0.999)


def load_section(loads: Mapping[str, LoadResult], charts: Sequence[Chart]) -> Html:
    """Return the best throughput, the charts, and a table of every step."""
    best = {name: step for name, load in loads.items() if (step := _best(load)) is not None}
    return section(
        "load",
        "Load",
        cards(_card(name, step) for name, step in best.items()),
        *(picture(chart, _note(chart.name)) for chart in charts),
        *(part for name, load in loads.items() for part in _steps(name, load)),
    )


def _best(load: LoadResult) -> StepResult | None:
    """Return the step with the highest throughput among those with a verdict."""
    sound = [step for step in load.steps if step.verdict is not None]
    return max(sound, key=lambda step: step.summary.achieved_per_s) if sound else None


def _card(name: str, step: StepResult) -> Html:
    summary = step.summary
    half = summary.response.quantile(0.5).value_s if summary.response.n else None
    lines = [f"requests per second at most, at {level(step)}"]
    lines += [f"half of them answered within {format_seconds(half)}"] if half is not None else []
    lines += [f"{summary.tokens_per_s:.4g} tokens per second"] if summary.tokens_per_s is not None else []
    return card(name, f"{summary.achieved_per_s:.3g}", *lines)


def _note(name: str) -> str:
    if name.startswith("throughput"):
        hollow = "A hollow dot is a step with a warning; see the table."
        return hollow if name.endswith("closed") else f"On the dotted line every offered request is served. {hollow}"
    return (
        "The share of requests up to each time; each step up is ten times fewer. Solid lines are the response time, "
        "from the intended start; dashed lines are the service time, from the send."
    )


def _steps(name: str, load: LoadResult) -> Iterator[Html | None]:
    heads = ["load", "verdict", "requests", "offered", "served"]
    heads += [f"within {objective}" for objective in load.settings.objectives]
    heads += ["response p50", "p95", "p99", "service p50", "first output p50", "tokens"]
    yield table(f"{name}, step by step", heads, (_row(step, load) for step in load.steps), words=2)
    yield bullets(_notes(load), "notes")
    yield folded(f"{name}: quantiles with their 95% intervals", _quantiles(load))
    yield folded(f"{name}: the generator's own audit", _audits(load))


def _row(step: StepResult, load: LoadResult) -> Sequence[str]:
    summary = step.summary
    good = {one.objective: one.share for one in summary.goodput}
    return (
        level(step),
        _VERDICTS[step.verdict],
        _counts(step),
        NOTHING if summary.offered_per_s is None else f"{summary.offered_per_s:.3g}/s",
        f"{summary.achieved_per_s:.3g}/s",
        *(f"{good[one]:.1%}" if one in good else NOTHING for one in load.settings.objectives),
        *(_at(summary.response, q) for q in (0.5, 0.95, 0.99)),
        _at(summary.service, 0.5),
        _at(summary.first_output, 0.5),
        NOTHING if summary.tokens_per_s is None else f"{summary.tokens_per_s:.4g}/s",
    )


def _counts(step: StepResult) -> str:
    others = [
        f"{count} {outcome.replace('_', ' ')}"
        for outcome, count in step.summary.counts.items()
        if outcome != "succeeded"
    ]
    return ", ".join([str(len(step.requests)), *others])


def _at(distribution: Distribution | None, q: float) -> str:
    if distribution is None or not distribution.n:
        return NOTHING
    found = distribution.quantile(q)
    return "too few requests" if found.value_s is None else format_seconds(found.value_s)


def _notes(load: LoadResult) -> Iterator[str]:
    for step in load.steps:
        said = [step.message or "", "" if step.complete else "not complete", *step.audit.problems]
        said += [f"{one.count} {one.outcome.replace('_', ' ')}: {one.message}" for one in step.failures]
        yield from (f"{level(step)}: {one}" for one in said if one)


def _quantiles(load: LoadResult) -> Html:
    rows = []
    for step in load.steps:
        kinds = {
            "response": step.summary.response,
            "service": step.summary.service,
            "first output": step.summary.first_output,
            "between outputs": step.summary.between_outputs,
        }
        for kind, found in kinds.items():
            if found is not None and found.n:
                slowest = format_seconds(found.max_s or 0.0)
                rows.append((level(step), kind, str(found.n), *(_interval(found, q) for q in _SHOWN), slowest))
    heads = ["load", "time", "n", *(f"p{q * 100:g}" for q in _SHOWN), "slowest"]
    return table("Quantiles", heads, rows, words=2)


def _interval(distribution: Distribution, q: float) -> str:
    found = distribution.quantile(q)
    if found.value_s is None or found.low_s is None or found.high_s is None:
        return f"needs {found.needed}"
    value, low, high = (format_seconds(time_s) for time_s in (found.value_s, found.low_s, found.high_s))
    return f"{value} ({low} to {high})"


def _audits(load: LoadResult) -> Html:
    heads = ["load", "sent of intended", "gaps vary by", "gap correlation", "late p99", "processor", "event loop p99"]
    rows = []
    for step in load.steps:
        audit = step.audit
        rows.append(
            (
                level(step),
                NOTHING if audit.sent_share is None else f"{audit.sent_share:.1%}",
                _asked(audit.gap_cv, audit.asked_gap_cv),
                _asked(audit.gap_autocorrelation, audit.asked_gap_autocorrelation),
                NOTHING if audit.lateness_p99_s is None else format_seconds(audit.lateness_p99_s),
                f"{audit.cpu_share:.0%}",
                NOTHING if audit.lag_p99_s is None else format_seconds(audit.lag_p99_s),
            )
        )
    return table("The generator's actual and intended behavior", heads, rows)


def _asked(found: float | None, asked: float | None) -> str:
    if found is None:
        return NOTHING
    return f"{found:.2f}" if asked is None else f"{found:.2f} (intended {asked:.2f})"
