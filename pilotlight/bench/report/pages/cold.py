"""The section of the page about cold starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from pilotlight.bench.cold.results import ColdResult, ProcessResult
from pilotlight.bench.cold.stages import STAGES
from pilotlight.bench.cold.summary import allowed, stage_medians, usage, walls_s
from pilotlight.bench.report.charts.chart import Chart
from pilotlight.bench.report.markup import Html, tag
from pilotlight.bench.report.pages.parts import NOTHING, card, cards, failures, folded, picture, section, table
from pilotlight.bench.report.verdicts import between, exact_seconds
from pilotlight.bench.stats.intervals import median_interval

__all__ = ["cold_section"]

_NOTES = {
    "waterfall": (
        "For each project the start with the median wall time, with its stages in time. Solid bars are the time "
        "charged to a stage and sum to the whole; pale bars overlap another stage. Each dot is the end of one start."
    ),
    "imports": "The own time of each package without its imports from other packages; medians of all starts.",
}


def cold_section(result: ColdResult, charts: Sequence[Chart]) -> Html:
    """Return totals, failures, charts, and a table of every start."""
    by_project = {info.name: result.measured(info.name) for info in result.projects}
    failed = [failures(info.name, _messages(result.failures(info.name))) for info in result.projects]
    started = {name: starts for name, starts in by_project.items() if starts}
    return section(
        "cold",
        "Cold start",
        *failed,
        None if started else tag("p", "No start succeeded."),
        cards(_card(name, starts) for name, starts in started.items()),
        *(picture(chart, _NOTES[chart.name]) for chart in charts),
        _used(started) if started else None,
        folded("Stages, medians of all starts", _stages(started)) if started else None,
        folded(f"Every start: {len(result.processes)}", _starts(result.processes)) if result.processes else None,
    )


def _messages(failed: Sequence[ProcessResult]) -> Counter[str]:
    return Counter(f"{one.outcome.replace('_', ' ')}: {one.message or 'no message'}" for one in failed)


def _card(name: str, starts: Sequence[ProcessResult]) -> Html:
    walls = walls_s(starts)
    ready = [one.ready_s for one in starts if one.ready_s is not None]
    outputs = [one.first_output_s for one in starts if one.first_output_s is not None]
    after = [f"ready after {exact_seconds(median(ready))}"] if ready else []
    after += [f"first output after {exact_seconds(median(outputs))}"] if outputs else []
    said = f"median of {len(walls)}; {between(median_interval(walls), exact_seconds)}"
    return card(name, exact_seconds(median(walls)), said, ", ".join(after), allowed(walls))


def _used(started: dict[str, list[ProcessResult]]) -> Html | None:
    used = {name: found for name, starts in started.items() if (found := usage(starts))}
    if not used:
        return None
    rows = [
        ("peak memory", *(f"{one.peak_rss_bytes / 1e6:.0f} MB" for one in used.values())),
        ("read from disk", *(f"{one.read_bytes / 1e6:.1f} MB" for one in used.values())),
        ("major page faults", *(f"{one.major_faults:.0f}" for one in used.values())),
        ("processor time", *(f"{one.cpu_s:.2f} s" for one in used.values())),
    ]
    return table("Resources used by a start, medians", ["", *used], rows)


def _stages(started: dict[str, list[ProcessResult]]) -> Html:
    medians = {
        name: {stage: (charged, beside) for stage, charged, beside in stage_medians(starts)}
        for name, starts in started.items()
    }
    found = dict.fromkeys(stage for one in medians.values() for stage in one)
    ordered = [*(stage for stage in STAGES if stage in found), *(stage for stage in found if stage not in STAGES)]
    rows = [(stage.replace("_", " "), *(_stage(stage, one) for one in medians.values())) for stage in ordered]
    return table("Seconds charged to each stage, and seconds overlapping another stage", ["stage", *medians], rows)


def _stage(stage: str, medians: dict[str, tuple[float, float]]) -> str:
    if stage not in medians:
        return NOTHING
    charged_s, beside_s = medians[stage]
    beside = f" (+{beside_s:.3f})" if stage != "setup" and beside_s >= 0.0005 else ""
    return f"{charged_s:.3f}{beside}"


def _starts(processes: Sequence[ProcessResult]) -> Html:
    heads = ["project", "start", "outcome", "cold start", "ready", "first output", "memory", "read"]
    heads += ["faults", "processor", "GPU memory", "evicted files", "load", "steal"]
    return table("Every start, in the order in which they ran", heads, map(_start, processes), words=3)


def _start(one: ProcessResult) -> Sequence[str]:
    return (
        one.project,
        str(one.round + 1) if one.measured else "not measured",
        one.outcome.replace("_", " "),
        *(
            NOTHING if time_s is None else exact_seconds(time_s)
            for time_s in (one.wall_s, one.ready_s, one.first_output_s)
        ),
        *(NOTHING if size is None else f"{size / 1e6:.1f} MB" for size in (one.peak_rss_bytes, one.read_bytes)),
        NOTHING if one.major_faults is None else str(one.major_faults),
        NOTHING if one.cpu_s is None else f"{one.cpu_s:.2f} s",
        NOTHING if one.gpu_peak_bytes is None else f"{one.gpu_peak_bytes / 1e6:.0f} MB",
        str(one.evicted_files),
        f"{one.load_1m:.2f}",
        NOTHING if one.steal_share is None else f"{one.steal_share:.1%}",
    )
