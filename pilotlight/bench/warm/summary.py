"""Summarise a ``bench warm`` result: steady levels, comparisons, warnings. Pure; used by every report."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.bench.cold.summary import Against
from pilotlight.bench.harness.warnings import machine_warnings
from pilotlight.bench.stats.intervals import Estimate, TooSmall, compare, hierarchical_interval
from pilotlight.bench.stats.warmup import Shape, Warmup, classify
from pilotlight.bench.warm.results import WarmProcess, WarmResult

__all__ = ["comparisons", "notes", "steady_interval", "warnings"]

# A steady state with a larger spread (as a share of its mean) may hide a pattern: levels that alternate every few
# predictions look like noise until there are many of them.
_WIDE = 0.25
# A warm-up as short as this is mostly Cog's own; see ``measure``.
_COGS_OWN = 2


def steady_interval(processes: Sequence[WarmProcess]) -> Estimate | TooSmall | None:
    """Return the median of the processes' median steady times; its interval covers differences in and between them.

    ``None`` if no process has a steady state.
    """
    found = [(one.times_s, classify(one.times_s).iterations_to_steady) for one in processes]
    steady = [times_s[start:] for times_s, start in found if start is not None]
    return hierarchical_interval(steady) if steady else None


def comparisons(result: WarmResult) -> list[Against]:
    """Compare every project's steady times with those of the first, if both have any."""
    steady_s = {info.name: result.steady_times_s(info.name) for info in result.projects}
    names = list(steady_s)
    pairs = ((names[0], name) for name in names[1:] if steady_s[names[0]] and steady_s[name])
    return [Against(name, baseline, compare(steady_s[baseline], steady_s[name])) for baseline, name in pairs]


def warnings(result: WarmResult) -> list[str]:
    """Return warnings about the validity of the figures."""
    measured = [process for process in result.processes if process.measured]
    found = [] if result.finished else [f"interrupted after {len(measured)} measured processes"]
    found += machine_warnings(result.environment, (process.steal_share for process in measured))
    warmups = {info.name: warmup for info in result.projects if (warmup := result.warmup(info.name))}
    found += [text for name, warmup in warmups.items() if (text := _wide(name, warmup))]
    return found


def notes(warmup: Warmup) -> list[str]:
    """Return notes that explain the figures of a project."""
    few = warmup.iterations_to_steady
    if warmup.shape is not Shape.WARM_UP or few is None or few > _COGS_OWN:
        return []
    return ["a warm-up this short is mostly Cog's own: the first prediction of any process imports Cog's dependencies"]


def _wide(name: str, warmup: Warmup) -> str | None:
    spreads = [
        one.segments[-1].deviation_s / one.segments[-1].mean_s for one in warmup.processes if one.steady_s is not None
    ]
    if max(spreads, default=0.0) <= _WIDE:
        return None
    return (
        f"the steady times of {name} spread by up to {max(spreads):.0%} of their mean: "
        "if they follow a pattern, more predictions show it (--iterations)"
    )
