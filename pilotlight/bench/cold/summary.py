"""Summarise the starts of one result: medians, comparisons, warnings. Pure; used by every report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pilotlight.bench.cold.results import ColdResult, ProcessResult
from pilotlight.bench.cold.stages import OTHER, STAGES
from pilotlight.bench.harness.warnings import machine_warnings
from pilotlight.bench.stats.intervals import Comparison, TooSmall, compare, quantile_interval

__all__ = [
    "Against",
    "ResourceUsage",
    "allowed",
    "comparisons",
    "import_medians",
    "stage_medians",
    "typical",
    "usage",
    "wall_s",
    "walls_s",
    "warnings",
]

_QUANTILES = (0.5, 0.9, 0.95, 0.99)
# The share of `other` above which a cold start counts as unexplained.
_UNKNOWN = 0.1
# The times of one start sum to its wall time exactly; medians are shown while they nearly do.
_UNEVEN = 0.02


@dataclass(frozen=True, slots=True)
class Against:
    """A project's cold starts against those of the first project of the run."""

    name: str
    baseline: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """Medians of the resources that the starts used; see ``proc.Counters``."""

    peak_rss_bytes: float
    read_bytes: float
    major_faults: float
    cpu_s: float


def walls_s(processes: Sequence[ProcessResult]) -> list[float]:
    """Return the seconds from the spawn to the end of the first prediction, for each start."""
    return [process.wall_s for process in processes if process.wall_s is not None]


def wall_s(processes: Sequence[ProcessResult]) -> float:
    """Return the median of ``walls_s``; there must be at least one start."""
    return median(walls_s(processes))


def typical(processes: Sequence[ProcessResult]) -> ProcessResult:
    """Return the real start with the median wall time (the faster of two), so that its stages sum exactly."""
    ordered = sorted((one for one in processes if one.wall_s is not None), key=lambda one: one.wall_s or 0.0)
    return ordered[(len(ordered) - 1) // 2]


def stage_medians(processes: Sequence[ProcessResult]) -> list[tuple[str, float, float]]:
    """Return for each stage, in order, its name and the medians of its charged and its overlapped seconds.

    A stage that is missing in a start counts as 0 there. Unlike the times of one start, medians do not sum exactly.
    """
    found = dict.fromkeys(one.stage for process in processes for one in process.stages)
    own = [stage for stage in found if stage not in STAGES]
    rows = []
    for stage in (*STAGES[:-1], *own, OTHER):
        if stage in found:
            times = [{one.stage: one for one in process.stages}.get(stage) for process in processes]
            charged = median(one.charged_s if one else 0.0 for one in times)
            rows.append((stage, charged, median(one.overlapped_s if one else 0.0 for one in times)))
    return rows


def import_medians(processes: Sequence[ProcessResult]) -> list[tuple[str, float]]:
    """Return each package that takes time to import with the median of its own seconds, the slowest first."""
    times = [{one.package: one.self_s for one in process.imports} for process in processes]
    packages = dict.fromkeys(package for process in times for package in process)
    medians = {package: median(process.get(package, 0.0) for process in times) for package in packages}
    slowest = sorted(medians, key=lambda package: -medians[package])
    return [(package, medians[package]) for package in slowest if medians[package] > 0]


def usage(processes: Sequence[ProcessResult]) -> ResourceUsage | None:
    """Return the medians; ``None`` if the system does not count them."""
    peaks = [process.peak_rss_bytes for process in processes if process.peak_rss_bytes is not None]
    reads = [process.read_bytes for process in processes if process.read_bytes is not None]
    faults = [process.major_faults for process in processes if process.major_faults is not None]
    cpu = [process.cpu_s for process in processes if process.cpu_s is not None]
    if not (peaks and reads and faults and cpu):
        return None
    return ResourceUsage(median(peaks), median(reads), median(faults), median(cpu))


def allowed(values: Sequence[float]) -> str:
    """Return a text with the percentiles that this number of starts allows an interval for."""
    found = {q: quantile_interval(values, q) for q in _QUANTILES}
    given = [f"p{q * 100:g}" for q, one in found.items() if not isinstance(one, TooSmall)]
    refused = [f"p{q * 100:g} needs {one.needed}" for q, one in found.items() if isinstance(one, TooSmall)]
    so_many = f"n = {len(values)} allows an interval for {', '.join(given) or 'no percentile'}"
    return f"{so_many}; {', '.join(refused)}" if refused else so_many


def comparisons(result: ColdResult) -> list[Against]:
    """Compare every project with the first one, if both have a start that succeeded."""
    walls = {info.name: walls_s(result.measured(info.name)) for info in result.projects}
    names = list(walls)
    pairs = ((names[0], name) for name in names[1:] if walls[names[0]] and walls[name])
    return [Against(name, baseline, compare(walls[baseline], walls[name])) for baseline, name in pairs]


def warnings(result: ColdResult) -> list[str]:
    """Return warnings about the validity of the figures."""
    measured = [process for process in result.processes if process.measured]
    found = [] if result.finished else [f"interrupted after {len(measured)} measured starts"]
    found += machine_warnings(result.environment, (process.steal_share for process in measured))
    by_project = {info.name: result.measured(info.name) for info in result.projects}
    found += [text for name, processes in by_project.items() if (text := _uneven(name, processes))]
    unknown = [median(_share_of_other(process) for process in one) for one in by_project.values() if one]
    if max(unknown, default=0.0) > _UNKNOWN:
        found.append(f"up to {max(unknown):.0%} of a cold start is `other`, time that no stage explains")
    return found


def _uneven(name: str, processes: Sequence[ProcessResult]) -> str | None:
    """Return a warning if the starts differ so much that the medians of the stages do not nearly sum to the total."""
    if not processes:
        return None
    total_s = wall_s(processes)
    sum_s = sum(charged_s for _, charged_s, _ in stage_medians(processes))
    if abs(sum_s - total_s) <= _UNEVEN * total_s:
        return None
    return (
        f"the starts of {name} differ so much that the medians of its stages sum to {sum_s:.3f} s: "
        "see each start in the JSON"
    )


def _share_of_other(process: ProcessResult) -> float:
    unknown_s = sum(one.charged_s for one in process.stages if one.stage == OTHER)
    return unknown_s / process.wall_s if process.wall_s else 0.0
