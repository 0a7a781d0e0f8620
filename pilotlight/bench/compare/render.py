"""Render the outcome of a comparison for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pilotlight.bench.compare.outcome import CompareOutcome, SideTimes
from pilotlight.bench.stats.intervals import TooSmall, Verdict
from pilotlight.bench.stats.warmup import format_seconds

__all__ = ["compare_report"]

_COLORS = {Verdict.FASTER: "bold green", Verdict.SLOWER: "bold red", Verdict.CANNOT_TELL: "bold yellow"}


def compare_report(outcome: CompareOutcome) -> Group:
    """Return both sides, the verdict, the ``--fail-if`` conditions, and warnings."""
    parts: list[RenderableType] = [Text(outcome.metric.words, style="dim"), ""]
    for side in (outcome.a, outcome.b):
        parts += _side(side)
    parts += ["", Text(outcome.sentence, style=_COLORS[outcome.comparison.verdict])]
    for condition, holds in outcome.conditions:
        words = "holds" if holds else "does not hold"
        parts.append(Text(f"--fail-if {condition.text}: {words}", style="red" if holds else "dim"))
    return Group(*parts, *(Text(warning, style="yellow") for warning in outcome.warnings))


def _side(side: SideTimes) -> Iterator[RenderableType]:
    given = "".join(f" {name}={value}" for name, value in side.info.env.items())
    yield Text.assemble((side.info.name, "bold"), (given, "dim"))
    for failure in side.failures:
        yield Padding(Text(failure, style="red"), (0, 0, 0, 3), expand=False)
    if side.median_s is None:
        return
    interval = side.interval
    between = str(interval)
    if not isinstance(interval, TooSmall):
        between = (
            f"{interval.confidence:.0%} interval {format_seconds(interval.low)} to {format_seconds(interval.high)}"
        )
    yield Text(f"   {format_seconds(side.median_s)}, median of {len(side.values_s)}; {between}")
