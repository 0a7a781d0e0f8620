"""Render the result of ``bench cold`` for a terminal, from the result alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pilotlight.bench.cold.results import ColdResult, ProcessResult
from pilotlight.bench.cold.stages import OTHER, STAGES
from pilotlight.bench.cold.summary import (
    Against,
    allowed,
    comparisons,
    import_medians,
    stage_medians,
    usage,
    wall_s,
    walls_s,
    warnings,
)
from pilotlight.bench.harness.documents import ProjectInfo
from pilotlight.bench.stats.intervals import TooSmall, median_interval

__all__ = ["cold_report"]

_BAR_CELLS = 30
_SHOWN_S = 0.0005
_TOP_IMPORTS = 8
_COLORS = {
    "spawn": "bright_black",
    "interpreter": "bright_black",
    "imports": "yellow",
    "weights": "blue",
    "device": "cyan",
    "compile": "magenta",
    "warmup": "red",
    "setup": "blue",
    "ready": "bright_black",
    "first_prediction": "green",
    OTHER: "white",
}
_INDENT = (0, 0, 0, 2)


def cold_report(result: ColdResult) -> Group:
    """Return a waterfall for each project, the comparisons, and the warnings."""
    longest_s = max((_longest_s(result.measured(info.name)) for info in result.projects), default=0.0)
    parts: list[RenderableType] = [_headline(result)]
    for info in result.projects:
        parts += ["", *_project(result, info, longest_s)]
    parts += ["", *map(_against, comparisons(result)), *(Text(warning, style="yellow") for warning in warnings(result))]
    return Group(*parts)


def _headline(result: ColdResult) -> Text:
    settings, machine = result.settings, result.environment
    cache = f"page cache {settings.page_cache}" + (f" by {settings.drop_method}" if settings.drop_method else "")
    gpus = "".join(f"{gpu.name}, driver {gpu.driver}, " for gpu in machine.gpus)
    return Text(
        f"cold starts, {settings.runs} of each project, {cache}, compile caches {settings.compile_cache}, "
        f"bytecode {settings.bytecode}, order by seed {settings.seed}\n"
        f"{machine.cpu_model}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, {gpus}"
        f"{machine.system} {machine.kernel}, Python {machine.python}",
        style="dim",
    )


def _project(result: ColdResult, info: ProjectInfo, longest_s: float) -> Iterator[RenderableType]:
    yield Text(info.name, style="bold")
    processes = result.measured(info.name)
    for failure in result.failures(info.name):
        yield Padding(
            Text(f"{failure.outcome.replace('_', ' ')}: {failure.message}", style="red"), _INDENT, expand=False
        )
    if not processes:
        return
    parts: list[Text | Table] = [*_totals(processes), _waterfall(processes, longest_s)]
    gpu = _gpu([one for one in result.processes if one.project == info.name])
    parts += [Text(line) for line in (_memory(processes), gpu, _imports(processes)) if line]
    yield from (Padding(part, _INDENT, expand=False) for part in parts)


def _totals(processes: Sequence[ProcessResult]) -> list[Text]:
    walls = walls_s(processes)
    estimate = median_interval(walls)
    between = str(estimate)
    if not isinstance(estimate, TooSmall):
        between = f"{estimate.confidence:.0%} interval {estimate.low:.3f} to {estimate.high:.3f} s"
    ready_s = median(process.ready_s for process in processes if process.ready_s is not None)
    outputs = [process.first_output_s for process in processes if process.first_output_s is not None]
    first = f", first output after {median(outputs):.3f} s" if outputs else ""
    return [
        Text.assemble((f"{median(walls):.3f} s", "bold"), f" cold start, median of {len(walls)}; {between}"),
        Text(f"ready after {ready_s:.3f} s{first}"),
        Text(allowed(walls), style="dim"),
    ]


def _waterfall(processes: Sequence[ProcessResult], longest_s: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    # On a narrow terminal the bar is cut off rather than a number.
    table.add_column("stage", no_wrap=True, min_width=max(map(len, STAGES)))
    table.add_column("time", justify="right", no_wrap=True, min_width=len("999.999 s"))
    table.add_column("share", justify="right", no_wrap=True, min_width=len("share"))
    table.add_column("beside", justify="right", no_wrap=True, min_width=len("+99.999 s"), style="dim")
    table.add_column("", no_wrap=True, overflow="crop")
    rows = stage_medians(processes)
    total_s = wall_s(processes)
    start_s = 0.0
    for stage, charged_s, overlapped_s in rows:
        # The time that overlaps the stage that is charged. setup() contains other stages, so its overlap is not shown.
        beside = f"+{overlapped_s:.3f} s" if overlapped_s >= _SHOWN_S and stage != "setup" else ""
        bar = _bar(stage, start_s, charged_s, longest_s)
        table.add_row(stage, f"{charged_s:.3f} s", f"{charged_s / total_s:.0%}", beside, bar)
        start_s += charged_s
    return table


def _longest_s(processes: Sequence[ProcessResult]) -> float:
    """Return the end of a project's longest bar, in seconds."""
    if not processes:
        return 0.0
    return max(wall_s(processes), sum(charged_s for _, charged_s, _ in stage_medians(processes)))


def _bar(stage: str, start_s: float, length_s: float, longest_s: float) -> Text:
    before = min(round(start_s / longest_s * _BAR_CELLS), _BAR_CELLS - 1)
    cells = round((start_s + length_s) / longest_s * _BAR_CELLS) - before
    return Text(" " * before + ("█" * cells or "▏"), style=_COLORS.get(stage, "blue"))


def _memory(processes: Sequence[ProcessResult]) -> str:
    used = usage(processes)
    if used is None:
        return ""
    return (
        f"peak memory {used.peak_rss_bytes / 1e6:.0f} MB, {used.read_bytes / 1e6:.1f} MB read from disk, "
        f"{used.major_faults:.0f} major faults, {used.cpu_s:.2f} s of processor time"
    )


def _gpu(processes: Sequence[ProcessResult]) -> str:
    peaks = [process.gpu_peak_bytes for process in processes if process.gpu_peak_bytes is not None]
    return f"peak GPU memory {max(peaks) / 1e6:.0f} MB" if peaks else ""


def _imports(processes: Sequence[ProcessResult]) -> str:
    slowest = import_medians(processes)[:_TOP_IMPORTS]
    shown = ", ".join(f"{package} {seconds:.3f} s" for package, seconds in slowest)
    return f"imports, own time of each package: {shown}" if shown else ""


def _against(one: Against) -> Text:
    ratio = one.comparison.ratio
    if isinstance(ratio, TooSmall):
        return Text(f"{one.name} compared with {one.baseline}: {ratio}")
    return Text.assemble(
        f"{one.name} takes {ratio.value:.3f} times as long as {one.baseline} "
        f"({ratio.confidence:.0%} interval {ratio.low:.3f} to {ratio.high:.3f}): ",
        (one.comparison.verdict.value, "bold"),
    )
