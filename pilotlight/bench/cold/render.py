"""The result of ``bench cold`` for a terminal: made from the result alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pilotlight.bench.cold.results import ColdResult, ProcessResult
from pilotlight.bench.cold.stages import OTHER, STAGES
from pilotlight.bench.documents import ProjectInfo
from pilotlight.bench.stats import TooSmall, compare, median_interval, quantile_interval

__all__ = ["cold_report", "stage_medians"]

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
_QUANTILES = (0.5, 0.9, 0.95, 0.99)
# Above these the machine was busy with something else, and times are too long by an amount that nobody knows.
_BUSY_LOAD_PER_CORE = 0.5
_BUSY_STEAL = 0.02
# Above this share of a cold start, it is not explained.
_UNKNOWN = 0.1
# The times of one start sum to its wall time exactly; medians are worth showing while they nearly do.
_UNEVEN = 0.02


def cold_report(result: ColdResult) -> Group:
    """A waterfall for each project, what it compares to, and what to doubt."""
    longest_s = max((_longest_s(result.measured(info.name)) for info in result.projects), default=0.0)
    parts: list[RenderableType] = [_headline(result)]
    for info in result.projects:
        parts += ["", *_project(result, info, longest_s)]
    parts += ["", *(line for line in _comparisons(result)), *_doubts(result)]
    return Group(*parts)


def stage_medians(processes: Sequence[ProcessResult]) -> list[tuple[str, float, float]]:
    """For each stage its name and the medians of its charged and its overlapped seconds, in order.

    A stage that some starts do not have counts as 0 in them. Medians do not add up as the times of one start do.
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


def _headline(result: ColdResult) -> Text:
    settings, machine = result.settings, result.environment
    cache = f"page cache {settings.page_cache}" + (f" by {settings.drop_method}" if settings.drop_method else "")
    return Text(
        f"cold starts, {settings.runs} of each project, {cache}, order by seed {settings.seed}\n"
        f"{machine.cpu_model}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, "
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
    parts += [Text(line) for line in (_memory(processes), _imports(processes)) if line]
    yield from (Padding(part, _INDENT, expand=False) for part in parts)


def _totals(processes: Sequence[ProcessResult]) -> list[Text]:
    walls = [process.wall_s for process in processes if process.wall_s is not None]
    estimate = median_interval(walls)
    between = str(estimate)
    if not isinstance(estimate, TooSmall):
        between = f"{estimate.confidence:.0%} interval {estimate.low:.3f} to {estimate.high:.3f} s"
    ready_s = median(process.ready_s for process in processes if process.ready_s is not None)
    outputs = [process.first_output_s for process in processes if process.first_output_s is not None]
    first = f", first output at {median(outputs):.3f} s" if outputs else ""
    return [
        Text.assemble((f"{median(walls):.3f} s", "bold"), f" cold start, median of {len(walls)}; {between}"),
        Text(f"ready at {ready_s:.3f} s{first}"),
        Text(_allowed(walls), style="dim"),
    ]


def _allowed(walls: Sequence[float]) -> str:
    """Which percentiles so many starts allow an interval for."""
    found = {q: quantile_interval(walls, q) for q in _QUANTILES}
    allowed = [f"p{q * 100:g}" for q, one in found.items() if not isinstance(one, TooSmall)]
    refused = [f"p{q * 100:g} needs {one.needed}" for q, one in found.items() if isinstance(one, TooSmall)]
    so_many = f"n = {len(walls)} allows an interval for {', '.join(allowed) or 'no percentile'}"
    return f"{so_many}; {', '.join(refused)}" if refused else so_many


def _waterfall(processes: Sequence[ProcessResult], longest_s: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    # What a narrow terminal cuts off is the bar, not a number.
    table.add_column("stage", no_wrap=True, min_width=max(map(len, STAGES)))
    table.add_column("time", justify="right", no_wrap=True, min_width=len("999.999 s"))
    table.add_column("share", justify="right", no_wrap=True, min_width=len("share"))
    table.add_column("beside", justify="right", no_wrap=True, min_width=len("+99.999 s"), style="dim")
    table.add_column("", no_wrap=True, overflow="crop")
    rows = stage_medians(processes)
    wall_s = _wall_s(processes)
    start_s = 0.0
    for stage, charged_s, overlapped_s in rows:
        # What ran beside another stage, to which that time is charged. setup() is around others, not beside them.
        beside = f"+{overlapped_s:.3f} s" if overlapped_s >= _SHOWN_S and stage != "setup" else ""
        bar = _bar(stage, start_s, charged_s, longest_s)
        table.add_row(stage, f"{charged_s:.3f} s", f"{charged_s / wall_s:.0%}", beside, bar)
        start_s += charged_s
    return table


def _wall_s(processes: Sequence[ProcessResult]) -> float:
    return median(process.wall_s for process in processes if process.wall_s is not None)


def _longest_s(processes: Sequence[ProcessResult]) -> float:
    """How far the bars of a project reach."""
    if not processes:
        return 0.0
    return max(_wall_s(processes), sum(charged_s for _, charged_s, _ in stage_medians(processes)))


def _bar(stage: str, start_s: float, length_s: float, longest_s: float) -> Text:
    before = min(round(start_s / longest_s * _BAR_CELLS), _BAR_CELLS - 1)
    cells = round((start_s + length_s) / longest_s * _BAR_CELLS) - before
    return Text(" " * before + ("█" * cells or "▏"), style=_COLORS.get(stage, "blue"))


def _memory(processes: Sequence[ProcessResult]) -> str:
    peaks = [process.peak_rss_bytes for process in processes if process.peak_rss_bytes is not None]
    reads = [process.read_bytes for process in processes if process.read_bytes is not None]
    faults = [process.major_faults for process in processes if process.major_faults is not None]
    cpu = [process.cpu_s for process in processes if process.cpu_s is not None]
    if not (peaks and reads and faults and cpu):
        return ""
    return (
        f"memory {median(peaks) / 1e6:.0f} MB at most, {median(reads) / 1e6:.1f} MB read from disk, "
        f"{median(faults):.0f} major faults, {median(cpu):.2f} s of processor time"
    )


def _imports(processes: Sequence[ProcessResult]) -> str:
    times = [{one.package: one.self_s for one in process.imports} for process in processes]
    packages = dict.fromkeys(package for process in times for package in process)
    medians = {package: median(process.get(package, 0.0) for process in times) for package in packages}
    slowest = sorted(medians, key=lambda package: -medians[package])[:_TOP_IMPORTS]
    shown = ", ".join(f"{package} {medians[package]:.3f} s" for package in slowest if medians[package] > 0)
    return f"imports, own time of each package: {shown}" if shown else ""


def _comparisons(result: ColdResult) -> Iterator[Text]:
    """Every project against the first one."""
    walls = {
        info.name: [process.wall_s for process in result.measured(info.name) if process.wall_s is not None]
        for info in result.projects
    }
    (first, *others) = walls
    for name in others:
        if not walls[first] or not walls[name]:
            continue
        comparison = compare(walls[first], walls[name])
        ratio = comparison.ratio
        if isinstance(ratio, TooSmall):
            yield Text(f"{name} against {first}: {ratio}")
        else:
            yield Text.assemble(
                f"{name} takes {ratio.value:.3f} times as long as {first} "
                f"({ratio.confidence:.0%} interval {ratio.low:.3f} to {ratio.high:.3f}): ",
                (comparison.verdict.value, "bold"),
            )


def _doubts(result: ColdResult) -> Iterator[Text]:
    """What makes these numbers worth less than they look."""
    measured = [process for process in result.processes if process.measured]
    machine = result.environment
    steal = max((process.steal_share or 0.0 for process in measured), default=0.0)
    if not result.finished:
        yield Text(f"interrupted after {len(measured)} measured starts", style="yellow")
    if machine.load_1m > _BUSY_LOAD_PER_CORE * machine.cores:
        yield Text(
            f"the machine was busy before the first start (load {machine.load_1m:.1f} on {machine.cores} cores): "
            "times are longer than they would be; stop what else runs",
            style="yellow",
        )
    if steal > _BUSY_STEAL:
        yield Text(
            f"the hypervisor gave up to {steal:.0%} of the processors to others during a start: repeat at another time",
            style="yellow",
        )
    yield from (text for info in result.projects if (text := _uneven(info.name, result.measured(info.name))))
    uncovered = [median(_share_of_other(process) for process in one) for one in _by_project(result) if one]
    if max(uncovered, default=0.0) > _UNKNOWN:
        yield Text(f"up to {max(uncovered):.0%} of a cold start is `other`: nothing is known of it", style="yellow")


def _uneven(name: str, processes: Sequence[ProcessResult]) -> Text | None:
    """Medians add up where the starts are alike; says so where they do not."""
    if not processes:
        return None
    total_s = _wall_s(processes)
    sum_s = sum(charged_s for _, charged_s, _ in stage_medians(processes))
    if abs(sum_s - total_s) <= _UNEVEN * total_s:
        return None
    return Text(
        f"the starts of {name} differ so much that the medians of its stages sum to {sum_s:.3f} s: "
        "see each start in the JSON",
        style="yellow",
    )


def _share_of_other(process: ProcessResult) -> float:
    unknown_s = sum(one.charged_s for one in process.stages if one.stage == OTHER)
    return unknown_s / process.wall_s if process.wall_s else 0.0


def _by_project(result: ColdResult) -> list[list[ProcessResult]]:
    return [result.measured(info.name) for info in result.projects]
