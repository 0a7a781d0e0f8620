"""Render a result in Markdown: figures with intervals, goals, and the stages of a start. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from pilotlight.bench.cold.summary import stage_medians
from pilotlight.bench.harness.warnings import machine_warnings
from pilotlight.bench.stats.intervals import TooSmall, median_interval
from pilotlight.bench.systems.goals import ComparedFigure, FigureKind, Goal, judge, values
from pilotlight.bench.systems.results import ComparisonResult

__all__ = ["figures_of", "markdown"]


def figures_of(result: ComparisonResult) -> list[ComparedFigure]:
    """Return the rows of the table."""
    streams = result.settings.streams
    rows = [ComparedFigure(FigureKind.READY), ComparedFigure(FigureKind.FIRST)]
    rows += [ComparedFigure(FigureKind.FIRST_DROPPED)] if result.settings.drop_method else []
    rows += [ComparedFigure(FigureKind.RATE, number) for number in streams]
    return [*rows, *(ComparedFigure(FigureKind.FIRST_P95, number) for number in streams)]


def markdown(result: ComparisonResult, goals: Sequence[Goal]) -> str:
    """Return the whole text: medians of processes with 95 % intervals, or without if there are too few processes."""
    parts = [_title(result), *_warnings(result), _table(result, figures_of(result))]
    parts += [_goals(result, goals)] if goals else []
    return "\n\n".join([*parts, _stages(result), *_failures(result)]) + "\n"


def _title(result: ComparisonResult) -> str:
    given = result.settings
    artifact = f", the fast path on {given.artifact}" if given.artifact else ""
    return (
        f"{given.model}{artifact}: medians of {given.rounds} rounds in one interleaved run, 95 % intervals in "
        f"brackets; {given.tokens} greedy tokens a request, {given.duration_s:g} s a level. "
        f"{result.environment.cpu_model}, {result.environment.cores} cores."
    )


def _warnings(result: ComparisonResult) -> Iterator[str]:
    if not result.finished:
        yield "Warning: the run did not finish."
    for warning in machine_warnings(result.environment, (one.steal_share for one in result.processes)):
        yield f"Warning: {warning}."


def _table(result: ComparisonResult, rows: Sequence[ComparedFigure]) -> str:
    names = [info.name for info in result.projects]
    cells = [[str(row), *(_cell(values(result, name, row), row) for name in names)] for row in rows]
    return _grid(["", *names], cells)


def _cell(found: Sequence[float], figure: ComparedFigure) -> str:
    if not found:
        return ""
    digits = _digits(median(found), is_rate=figure.is_rate)
    interval = median_interval(found)
    if isinstance(interval, TooSmall):
        return f"{median(found):.{digits}f}"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _digits(value: float, *, is_rate: bool) -> int:
    """Return the decimals for about three significant digits; milliseconds at the finest."""
    if is_rate:
        return 0 if value >= 100 else 1
    return 2 if value >= 1 else 3


def _goals(result: ComparisonResult, goals: Sequence[Goal]) -> str:
    rows = []
    for outcome in (judge(result, goal) for goal in goals):
        goal, ratio = outcome.goal, outcome.ratio
        shown = str(ratio) if isinstance(ratio, TooSmall) else f"{ratio.value:.3g} [{ratio.low:.3g}, {ratio.high:.3g}]"
        bound = f"at {'least' if goal.figure.is_rate else 'most'} {goal.limit:.3g}"
        rows.append([str(goal.figure), goal.name, goal.against, shown, bound, str(outcome.met)])
    return _grid(["figure", "what", "over", "ratio", "goal", "met"], rows)


def _stages(result: ComparisonResult) -> str:
    """Return the medians of the time charged to each stage, in starts with a hot page cache."""
    found = {}
    for info in result.projects:
        starts = [one for one in result.measured(info.name) if one.page_cache == "hot" and one.stages]
        if starts:
            found[info.name] = {stage: charged_s for stage, charged_s, _ in stage_medians(starts)}
    stages = list(dict.fromkeys(stage for own in found.values() for stage in own))
    rows = [[stage, *(f"{own[stage]:.3f}" if stage in own else "" for own in found.values())] for stage in stages]
    return _grid(["stage, s", *found], rows)


def _failures(result: ComparisonResult) -> Iterator[str]:
    for start in result.processes:
        if start.message:
            yield f"{start.project} failed: {start.message}"
    for level in result.streams:
        if level.message:
            yield f"{level.project} failed: {level.message}"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, line, *rows))
