"""Render the result of ``bench load`` for a terminal, from the result alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pilotlight.bench.harness.warnings import machine_warnings
from pilotlight.bench.load.histogram import log_columns
from pilotlight.bench.load.results import Audit, Distribution, LoadResult, LoadSettings, RequestFailure, StepResult
from pilotlight.bench.stats.warmup import format_seconds

__all__ = ["level", "load_report", "sentence", "warnings"]

_INDENT = (0, 0, 0, 2)
_NOTHING = "-"
_HILLS = " ▁▂▃▄▅▆▇█"
_SPREAD_COLUMNS = 30
_FINEST_S = 1e-6
_WIDEST_BUCKET = 1 / 127  # as a share of its value
_RULED = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_VERDICTS = {
    "keeps_up": ("the server keeps up", "green"),
    "overloaded": ("overloaded: requests arrive faster than the server can serve them", "red"),
    "measured": ("", "green"),
}
_MODES = {"plain": "plain predictions", "stream": "streamed predictions", "async": "predictions with a webhook"}
_ERRORS = ("failed", "canceled", "error")


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: its title, and a function from a step to its cell."""

    name: str
    cell: Callable[[StepResult], str]


def load_report(result: LoadResult) -> Group:
    """Return a row for each step, the generator's audit, the verdicts, and warnings."""
    parts: list[RenderableType] = [_headline(result)]
    if result.steps:
        parts += [part for table in _tables(result) for part in ("", table)] + [""]
    for step in result.steps:
        parts += [Text.assemble((level(step), "bold"), ": ", sentence(step))]
        parts += [Padding(text, _INDENT, expand=False) for text in _details(step)]
    parts += [Text(warning, style="yellow") for warning in warnings(result)]
    return Group(*parts)


def level(step: StepResult) -> str:
    """Return the load of a step: ``4 clients``, ``2.5 requests/s``."""
    if step.clients is not None:
        return f"{step.clients} client{'' if step.clients == 1 else 's'}"
    return f"{step.rate or 0.0:.4g} requests/s"


def sentence(step: StepResult) -> Text:
    """Return the verdict of a step, or why there is none."""
    if step.verdict is None:
        why = "; ".join(step.audit.problems) or "it was interrupted"
        return Text.assemble(("no verdict", "bold yellow"), f": {why}")
    words, color = _VERDICTS[step.verdict]
    if not words:
        words = f"{step.summary.achieved_per_s:.4g} predictions/s"
    return Text(words, style=color)


def _headline(result: LoadResult) -> Text:
    settings, machine = result.settings, result.environment
    names = ", ".join(info.name for info in result.projects)
    return Text(
        f"load on {names}: {_MODES[settings.mode]}, {_loop(settings)}, {_each(settings)}\n"
        f"{machine.cpu_model}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, "
        f"{machine.system} {machine.kernel}, Python {machine.python}",
        style="dim",
    )


def _loop(settings: LoadSettings) -> str:
    queue = "with a client-side queue" if settings.queue else "without a queue"
    match settings.arrivals:
        case None:
            return f"closed loop (each client waits for its answer) {queue}"
        case "trace":
            return f"open loop with the arrivals of {settings.trace}, {settings.trace_scale:g} times as fast, {queue}"
        case kind:
            return f"open loop with {kind} arrivals by seed {settings.seed} {queue}"


def _each(settings: LoadSettings) -> str:
    limits = [] if settings.duration_s is None else [f"{settings.duration_s:g} s"]
    limits += [] if settings.requests is None else [f"{settings.requests} requests"]
    return f"{' or '.join(limits)} each"


def _tables(result: LoadResult) -> Iterator[Table]:
    """Yield tables with a row for each step; a single table would be wider than most terminals."""
    times = [
        *_quantiles("response", lambda step: step.summary.response, (0.5, 0.95, 0.99)),
        *_quantiles("service", lambda step: step.summary.service, (0.5, 0.95)),
    ]
    if result.settings.mode == "stream":
        times += _quantiles("first output", lambda step: step.summary.first_output, (0.5, 0.95))
        times += _quantiles("next", lambda step: step.summary.between_outputs, (0.5,))
    yield _table(times, result.steps)
    tokens = any(step.summary.tokens_per_s is not None for step in result.steps)
    per_s = [
        _Column("offered\nper s", lambda step: _number(step.summary.offered_per_s)),
        _Column("achieved\nper s", lambda step: _number(step.summary.achieved_per_s)),
        _Column("tokens\nper s", lambda step: _number(step.summary.tokens_per_s))
        if tokens
        else _Column("outputs\nper s", lambda step: _number(step.summary.outputs_per_s)),
    ]
    counts = [
        _Column("\nerrors", lambda step: _count(step, *_ERRORS)),
        _Column("timed\nout", lambda step: _count(step, "timed_out")),
        _Column("\nrejected", lambda step: _count(step, "rejected")),
        _Column("\nqueued", lambda step: str(step.summary.queued or _NOTHING)),
    ]
    yield _table([*per_s, *counts], result.steps)
    objectives = [_goodput(number, name) for number, name in enumerate(result.settings.objectives)]
    if objectives:
        yield _table(objectives, result.steps)


def _table(columns: Sequence[_Column], steps: Sequence[StepResult]) -> Table:
    table = Table(box=_RULED, padding=(0, 1, 0, 0), header_style="dim", show_edge=False, pad_edge=False)
    table.add_column("\nload", no_wrap=True, min_width=max(len(level(step)) for step in steps))
    for column in columns:
        table.add_column(column.name, justify="right", no_wrap=True)
    for step in steps:
        table.add_row(level(step), *(column.cell(step) for column in columns))
    return table


def _quantiles(name: str, of: Callable[[StepResult], Distribution | None], qs: Sequence[float]) -> list[_Column]:
    def column(q: float, *, last: bool) -> _Column:
        def cell(step: StepResult) -> str:
            found = of(step)
            value_s = found.quantile(q).value_s if found else None
            return _NOTHING if value_s is None else _milliseconds(value_s)

        return _Column(f"{name if last else ''}\n{'ms ' if q == qs[0] else ''}p{q * 100:g}", cell)

    return [column(q, last=q == qs[-1]) for q in qs]


def _goodput(number: int, name: str) -> _Column:
    def cell(step: StepResult) -> str:
        found = step.summary.goodput[number]
        return f"{found.share:.1%}, {found.per_s:.4g} per s"

    return _Column(f"within\n{name}", cell)


def _milliseconds(seconds: float) -> str:
    """Return the milliseconds with at least three digits."""
    return f"{seconds * 1e3:.0f}" if seconds >= 0.1 else f"{seconds * 1e3:.3g}"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.4g}"


def _count(step: StepResult, *outcomes: str) -> str:
    found = sum(count for outcome, count in step.summary.counts.items() if outcome in outcomes)
    return str(found) if found else _NOTHING


def _details(step: StepResult) -> Iterator[Text]:
    if step.summary.response.histogram:
        yield Text(_spread(step.summary.response))
    yield Text(_audited(step.audit), style="dim")
    if missing := _missing(step.summary.response):
        yield Text(missing, style="dim")
    if step.message:
        yield Text(f"the server was lost: {step.message}", style="red")
    yield from (Text(_failure(one), style="red") for one in step.failures)


def _spread(distribution: Distribution) -> str:
    """Return all values as a row of bars on a logarithmic scale."""
    buckets = distribution.histogram
    low_s, high_s = max(buckets[0].low_s, _FINEST_S), buckets[-1].high_s
    # Columns that are narrower than buckets would leave meaningless gaps.
    columns = max(min(int(log(high_s / low_s) / _WIDEST_BUCKET), _SPREAD_COLUMNS), 1)
    counts = log_columns(buckets, columns)
    # Every value is visible, even a single slow one.
    heights = (ceil(count / max(counts) * (len(_HILLS) - 1)) for count in counts)
    hills = "".join(_HILLS[height] for height in heights)
    return f"responses from {format_seconds(buckets[0].low_s)} {hills} to {format_seconds(high_s)}"


def _audited(audit: Audit) -> str:
    """Return the generator's audit as text."""
    said = ["generator:"]
    if audit.sent_share is not None:
        said.append(f"sent {audit.sent_share:.1%} of the intended rate,")
    if audit.gap_cv is not None and audit.asked_gap_cv is not None:
        said.append(f"gaps vary by {audit.gap_cv:.2f} (intended {audit.asked_gap_cv:.2f}),")
    if audit.gap_autocorrelation is not None and audit.asked_gap_autocorrelation is not None:
        said.append(
            f"autocorrelation {audit.gap_autocorrelation:.2f} (intended {audit.asked_gap_autocorrelation:.2f}),"
        )
    if audit.lateness_p99_s is not None:
        said.append(f"late by {format_seconds(audit.lateness_p99_s)} (p99),")
    if audit.lag_p99_s is not None:
        said.append(f"event loop late by {format_seconds(audit.lag_p99_s)} (p99),")
    return " ".join([*said, f"{audit.cpu_share:.0%} of a core"])


def _missing(distribution: Distribution) -> str:
    missing = [one for one in distribution.quantiles if one.needed is not None and one.q <= 0.99]
    needs = ", ".join(f"p{one.q * 100:g} needs {one.needed}" for one in missing)
    return f"too few requests ({distribution.n}): {needs}" if needs else ""


def _failure(failure: RequestFailure) -> str:
    return f"{failure.count} {failure.outcome.replace('_', ' ')}: {failure.message}"


def warnings(result: LoadResult) -> Iterator[str]:
    """Yield warnings about the validity of the numbers."""
    if not result.finished:
        yield f"interrupted after {sum(step.complete for step in result.steps)} steps"
    rejected = any(step.summary.counts.get("rejected") for step in result.steps)
    if rejected and not result.settings.queue:
        yield "the server refuses requests when no slot is free; --queue adds the queue that every platform has"
    yield from machine_warnings(result.environment, (step.generator.steal_share for step in result.steps))
