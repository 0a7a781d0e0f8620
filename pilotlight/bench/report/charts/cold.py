"""Charts of cold starts: the waterfall of stages, and the imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pilotlight.bench.cold.results import ColdResult, ProcessResult
from pilotlight.bench.cold.stages import STAGES, Interval, charge, union
from pilotlight.bench.cold.summary import import_medians, typical, walls_s
from pilotlight.bench.report.charts.chart import Chart, Pen, shortened
from pilotlight.bench.report.charts.theme import series_role, stage_role
from pilotlight.bench.stats.warmup import format_seconds

__all__ = ["cold_charts"]

_TOP_IMPORTS = 10
_LEAST_S = 0.0005  # shorter times are printed as 0
_NAME, _STRIP, _DOTS, _ROW, _GAP, _AXIS = 0.27, 0.30, 0.16, 0.225, 0.20, 0.28  # heights, in inches
_BAR = 0.13
_FAR = 1.3
_LINE = 0.19


@dataclass(frozen=True, slots=True)
class _Row:
    """One stage of one start."""

    stage: str
    ran: tuple[Interval, ...]
    charged: tuple[Interval, ...]

    @property
    def charged_s(self) -> float:
        return sum(one.end_s - one.start_s for one in self.charged)

    @property
    def beside_s(self) -> float:
        """The time that ran while another stage was charged; ``setup`` contains other stages, so it has none."""
        if self.stage == "setup":
            return 0.0
        return max(0.0, sum(one.end_s - one.start_s for one in self.ran) - self.charged_s)


@dataclass(frozen=True, slots=True)
class _Block:
    """One project: its typical start, and the end times of all starts."""

    name: str
    start: ProcessResult
    strip: tuple[Interval, ...]
    rows: tuple[_Row, ...]
    walls_s: tuple[float, ...]

    @property
    def wall_s(self) -> float:
        return self.start.wall_s or 0.0

    @property
    def height_in(self) -> float:
        return _NAME + _STRIP + _DOTS + _ROW * len(self.rows) + _GAP


def cold_charts(result: ColdResult) -> list[Chart]:
    """Return the charts that have data."""
    blocks = [_block(info.name, starts) for info in result.projects if (starts := result.measured(info.name))]
    charts = []
    if blocks:
        charts.append(
            Chart(
                "waterfall",
                "Where the time of a cold start goes",
                " ".join(_told(block) for block in blocks),
                lambda pen: _waterfall(pen, blocks),
            )
        )
    imports = {info.name: dict(import_medians(result.measured(info.name))) for info in result.projects}
    if any(imports.values()):
        charts.append(
            Chart("imports", "The slowest imports", _told_imports(imports), lambda pen: _imports(pen, imports))
        )
    return charts


def _block(name: str, starts: list[ProcessResult]) -> _Block:
    start = typical(starts)
    wall_s = start.wall_s or 0.0
    spans = [Interval(one.stage, one.start_s, min(one.end_s, wall_s)) for one in start.spans if one.start_s < wall_s]
    strip = tuple(charge(spans, wall_s))
    found = dict.fromkeys(one.stage for one in (*spans, *strip))
    own = [stage for stage in found if stage not in STAGES]
    rows = (
        _Row(
            stage,
            tuple(one for one in union(spans) if one.stage == stage),
            tuple(one for one in strip if one.stage == stage),
        )
        for stage in (*STAGES[:-1], *own, STAGES[-1])
        if stage in found
    )
    shown = tuple(row for row in rows if row.charged_s >= _LEAST_S or row.beside_s >= _LEAST_S)
    return _Block(name, start, strip, shown, tuple(walls_s(starts)))


def _told(block: _Block) -> str:
    parts = ", ".join(f"{row.stage.replace('_', ' ')} {format_seconds(row.charged_s)}" for row in block.rows)
    return f"{block.name}: {format_seconds(block.wall_s)} in all, of which {parts}."


def _told_imports(imports: dict[str, dict[str, float]]) -> str:
    said = (
        f"{name}: {', '.join(f'{package} {format_seconds(one)}' for package, one in list(found.items())[:3])}."
        for name, found in imports.items()
        if found
    )
    return " ".join(said)


def _waterfall(pen: Pen, blocks: list[_Block]) -> Figure:
    """Draw for each project the charged times as a strip, a dot for each start's end, and a row for each stage."""
    height = sum(block.height_in for block in blocks) - _GAP
    figure = pen.figure(height + _AXIS)
    left, right = (1.13, 0.66) if pen.narrow else (1.3, 2.05)
    width = pen.width_in - left - right
    axes = pen.axes(figure, left, 0, width, height)
    # One unit of the vertical axis is an inch.
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    # A start that took far longer than the others is shown as an arrow, so that the bars are not shortened.
    far_s = _FAR * max(block.wall_s for block in blocks)
    axes.set_xlim(0, 1.015 * min(far_s, max(max(block.walls_s) for block in blocks)))
    pen.few_ticks(axes)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    top = 0.0
    for index, block in enumerate(blocks):
        if index:
            axes.axhline(top - _GAP / 2, color=pen.palette["border"], linewidth=0.8)
        _draw_block(pen, axes, block, top, left)
        top += block.height_in
    return figure


def _draw_block(pen: Pen, axes: Axes, block: _Block, top: float, left: float) -> None:
    bold: dict[str, Any] = {"fontweight": "bold", "fontsize": pen.size + 1}
    pen.text(axes, 0, top + _NAME / 2, shortened(block.name, 24 if pen.narrow else 60), **bold)
    right = pen.width_in - (0.0 if pen.narrow else 1.43)
    middle = top + _NAME + _STRIP / 2
    pen.text(axes, right, middle, f"{block.wall_s:.3f} s", ha="right", **bold)
    pen.text(axes, left - 0.1, middle, "cold start", ha="right")
    for one in block.strip:
        _bar(pen, axes, one, middle, _STRIP - 0.06, tip=True)
    dots = top + _NAME + _STRIP + _DOTS / 2
    alike = len(block.walls_s)
    pen.text(
        axes,
        left - 0.1,
        dots,
        f"all {alike} starts" if alike > 1 else "1 start",
        "muted",
        ha="right",
        fontsize=pen.size - 1,
    )
    _dots(pen, axes, block.walls_s, dots)
    for index, row in enumerate(block.rows):
        _draw_row(pen, axes, block, row, top + _NAME + _STRIP + _DOTS + _ROW * (index + 0.5), left)


def _dots(pen: Pen, axes: Axes, walls_s: tuple[float, ...], y: float) -> None:
    """Draw a dot for each start, and an arrow for the starts beyond the axis."""
    end_s = axes.get_xlim()[1]
    style: dict[str, Any] = {"markeredgewidth": 0, "clip_on": False, "color": pen.palette["ink"]}
    for wall_s in walls_s:
        if wall_s <= end_s:
            (dot,) = axes.plot(wall_s, y, "o", markersize=4.5, alpha=0.55, **style)
            pen.tip(dot, f"a start of {format_seconds(wall_s)}")
    far = [wall_s for wall_s in walls_s if wall_s > end_s]
    if far:
        axes.plot(end_s, y, ">", markersize=5, **style)
        shown = f"{len(far)} at {min(far):.1f} s" + (f" to {max(far):.1f} s" if len(far) > 1 else "")
        given: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "center", "fontsize": pen.size - 1}
        axes.annotate(shown, (end_s, y), (-6, 0), color=pen.palette["muted"], **given)


def _draw_row(pen: Pen, axes: Axes, block: _Block, row: _Row, y: float, left: float) -> None:
    label = shortened(row.stage.replace("_", " "), 16 if pen.narrow else 20)
    pen.text(axes, left - 0.1, y, label, ha="right")
    for one in row.ran:
        _bar(pen, axes, one, y, _BAR, alpha=0.3)
    for one in row.charged:
        _bar(pen, axes, one, y, _BAR, tip=True)
    if pen.narrow:
        pen.text(axes, pen.width_in, y, f"{row.charged_s:.3f} s", ha="right")
        return
    pen.text(axes, pen.width_in - 1.43, y, f"{row.charged_s:.3f} s", ha="right")
    pen.text(axes, pen.width_in - 0.98, y, f"{row.charged_s / block.wall_s:.0%}", "muted", ha="right")
    if row.beside_s >= _LEAST_S:
        pen.text(axes, pen.width_in, y, f"+{row.beside_s:.3f} beside", "muted", ha="right")


def _bar(pen: Pen, axes: Axes, one: Interval, y: float, height: float, *, alpha: float = 1, tip: bool = False) -> None:
    color = pen.palette[stage_role(one.stage)]
    (bar,) = axes.barh(
        y,
        one.end_s - one.start_s,
        left=one.start_s,
        height=height,
        color="none" if one.stage == "other" else color,
        edgecolor=color,
        hatch="////" if one.stage == "other" else None,
        alpha=alpha,
        # A minimal outline of its own color, so that the shortest bar is visible.
        linewidth=0.4,
    )
    if tip:
        span = f"from {one.start_s:.3f} to {one.end_s:.3f} s"
        pen.tip(bar, f"{one.stage.replace('_', ' ')}: {format_seconds(one.end_s - one.start_s)}, {span}")


def _imports(pen: Pen, imports: dict[str, dict[str, float]]) -> Figure:
    """Draw the packages that take longest in any project, with a bar for each project."""
    longest = {
        package: max(found.get(package, 0.0) for found in imports.values())
        for package in dict.fromkeys(package for found in imports.values() for package in found)
    }
    packages = sorted(longest, key=lambda package: -longest[package])[:_TOP_IMPORTS]
    several = len(imports) > 1
    legend = 0.3 if several else 0.0
    group = _LINE * len(imports) + 0.1
    height = group * len(packages)
    figure = pen.figure(legend + height + _AXIS)
    left, right = (1.13, 0.66) if pen.narrow else (1.6, 0.75)
    axes = pen.axes(figure, left, legend, pen.width_in - left - right, height)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.set_xlim(0, longest[packages[0]])
    pen.few_ticks(axes)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    roles = [series_role(index, len(imports)) for index in range(len(imports))]
    if several:
        style = {"marker": "s", "linestyle": "none", "markersize": 7}
        pen.legend(
            figure,
            0.02,
            [
                (shortened(name, 28), {**style, "color": pen.palette[role]})
                for name, role in zip(imports, roles, strict=True)
            ],
        )
    for index, package in enumerate(packages):
        pen.text(axes, left - 0.1, legend + group * (index + 0.5), shortened(package, 16), ha="right")
        for number, (name, found) in enumerate(imports.items()):
            seconds = found.get(package, 0.0)
            y = group * index + 0.05 + _LINE * (number + 0.5)
            (bar,) = axes.barh(y, seconds, height=_LINE - 0.05, color=pen.palette[roles[number]])
            pen.tip(bar, f"{package} in {name}: {format_seconds(seconds)}")
            shown = format_seconds(seconds) if seconds else "-"
            axes.annotate(
                shown,
                (seconds, y),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=pen.size - 1,
                color=pen.palette["muted"],
                annotation_clip=False,
            )
    return figure
