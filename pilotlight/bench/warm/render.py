"""Render the result of ``bench warm`` for a terminal, from the result alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pilotlight.bench.cold.summary import Against
from pilotlight.bench.harness.documents import ProjectInfo
from pilotlight.bench.stats.intervals import TooSmall
from pilotlight.bench.stats.warmup import ProcessWarmup, Shape, Warmup, format_seconds
from pilotlight.bench.warm.curve import CHANGE, curve
from pilotlight.bench.warm.results import WarmProcess, WarmResult
from pilotlight.bench.warm.summary import comparisons, notes, steady_interval, warnings

__all__ = ["warm_report"]

_INDENT = (0, 0, 0, 2)
_COLORS = {Shape.FLAT: "green", Shape.WARM_UP: "yellow", Shape.SLOWDOWN: "red", Shape.NO_STEADY_STATE: "red"}
# A smaller range would show the noise of a flat series as large changes.
_LEAST_RANGE = 2.0
_NOTHING = "-"


def warm_report(result: WarmResult) -> Group:
    """Return every process as figures and as a curve, each project's summary, and warnings."""
    parts: list[RenderableType] = [_headline(result)]
    for info in result.projects:
        parts += ["", *_project(result, info)]
    parts += ["", *map(_against, comparisons(result)), *(Text(warning, style="yellow") for warning in warnings(result))]
    return Group(*parts)


def _headline(result: WarmResult) -> Text:
    settings, machine = result.settings, result.environment
    return Text(
        f"warm-up, processes of each project: {settings.processes}, predictions in each: {settings.iterations}, "
        f"{format_seconds(settings.pause_s)} apart, order by seed {settings.seed}\n"
        f"{machine.cpu_model}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, "
        f"{machine.system} {machine.kernel}, Python {machine.python}",
        style="dim",
    )


def _project(result: WarmResult, info: ProjectInfo) -> Iterator[RenderableType]:
    yield Text(info.name, style="bold")
    for failure in result.failures(info.name):
        yield _indented(Text(_failure(failure), style="red"))
    processes, warmup = result.measured(info.name), result.warmup(info.name)
    if warmup is None:
        return
    steady = _steady(processes)
    parts: list[Text | Table] = [*([steady] if steady else []), _figures(processes, warmup)]
    parts += [*_curves(processes, warmup), *(Text(note, style="dim") for note in notes(warmup))]
    parts.append(Text(warmup.sentence, style="bold"))
    yield from map(_indented, parts)


def _indented(part: Text | Table) -> Padding:
    return Padding(part, _INDENT, expand=False)


def _failure(process: WarmProcess) -> str:
    after = f" after {len(process.times_s)} predictions" if process.times_s else ""
    return f"{process.outcome.replace('_', ' ')}{after}: {process.message}"


def _steady(processes: Sequence[WarmProcess]) -> Text | None:
    estimate = steady_interval(processes)
    if estimate is None:
        return None
    if isinstance(estimate, TooSmall):
        return Text(f"interval of the steady time: {estimate}", style="dim")
    return Text.assemble(
        (format_seconds(estimate.value), "bold"),
        f" per prediction in the steady state, median of {estimate.n} processes; {estimate.confidence:.0%} interval "
        f"{format_seconds(estimate.low)} to {format_seconds(estimate.high)}",
    )


def _figures(processes: Sequence[WarmProcess], warmup: Warmup) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("process", justify="right", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    for title in ("to steady", "in", "first/steady", "warm-up cost", "steady"):
        table.add_column(title, justify="right", no_wrap=True)
    for process, one in zip(processes, warmup.processes, strict=True):
        table.add_row(str(process.round + 1), Text(one.shape, style=_COLORS.get(one.shape, "")), *_numbers(one))
    return table


def _numbers(one: ProcessWarmup) -> tuple[str, ...]:
    if one.steady_s is None:
        return (_NOTHING,) * 5
    seconds = (one.seconds_to_steady, one.debt_s, one.steady_s)
    span, cost, steady = (format_seconds(value or 0.0) for value in seconds)
    return str(one.iterations_to_steady), span, f"{one.first_to_steady or 0.0:.2f}", cost, steady


def _curves(processes: Sequence[WarmProcess], warmup: Warmup) -> Iterator[Text]:
    """Yield the curves of a project's processes on one scale."""
    times_s = [time_s for process in processes for time_s in process.times_s]
    low_s, high_s = min(times_s), max(*times_s, _LEAST_RANGE * min(times_s))
    scale = f"{format_seconds(low_s)} (lowest) to {format_seconds(high_s)} (highest)"
    yield Text(f"times from {scale} on a logarithmic scale, {CHANGE} where they change", style="dim")
    for process, one in zip(processes, warmup.processes, strict=True):
        drawn = Text(curve(process.times_s, [part.start for part in one.segments[1:]], low_s, high_s), style="cyan")
        drawn.highlight_words([CHANGE], style="bold magenta")
        yield Text.assemble(f"{process.round + 1:>2} ", drawn)


def _against(one: Against) -> Text:
    ratio = one.comparison.ratio
    if isinstance(ratio, TooSmall):
        return Text(f"{one.name} compared with {one.baseline}, steady state: {ratio}")
    return Text.assemble(
        f"in the steady state {one.name} takes {ratio.value:.3f} times as long as {one.baseline} "
        f"({ratio.confidence:.0%} interval {ratio.low:.3f} to {ratio.high:.3f}): ",
        (one.comparison.verdict.value, "bold"),
    )
