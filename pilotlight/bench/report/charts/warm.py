"""The chart of a warm-up: every prediction of every process, with its changepoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from pilotlight.bench.report.charts.chart import Chart, Pen, shortened
from pilotlight.bench.stats.changepoints import outliers
from pilotlight.bench.stats.warmup import ProcessWarmup, Warmup, format_seconds
from pilotlight.bench.warm.results import WarmResult

__all__ = ["warm_charts"]

_MOST = 12  # processes of a project that are drawn; the table contains all
_LEGEND, _NAME, _PANEL, _TITLE, _AXIS = 0.3, 0.32, 1.05, 0.24, 0.34  # heights, in inches
_LEFT, _GAP = 0.62, 0.16
_LOG_SPREAD = 6.0  # if the slowest takes more than this many times the fastest, the axis is logarithmic


@dataclass(frozen=True, slots=True)
class _Block:
    """One project; ``numbers`` are the numbers of its processes in the tables."""

    name: str
    numbers: tuple[int, ...]
    times_s: tuple[tuple[float, ...], ...]
    warmup: Warmup

    def rows(self, columns: int) -> int:
        return math.ceil(min(len(self.times_s), _MOST) / columns)


def warm_charts(result: WarmResult) -> list[Chart]:
    """Return one chart if there is data, else none."""
    blocks = []
    for info in result.projects:
        warmup = result.warmup(info.name)
        if warmup is not None:
            processes = result.measured(info.name)
            numbers = tuple(one.round + 1 for one in processes)
            blocks.append(_Block(info.name, numbers, tuple(one.times_s for one in processes), warmup))
    if not blocks:
        return []
    told = " ".join(f"{block.name}: {block.warmup.sentence}" for block in blocks)
    return [Chart("warmup", "The time of every prediction, process by process", told, lambda pen: _draw(pen, blocks))]


def _draw(pen: Pen, blocks: list[_Block]) -> Figure:
    columns = _columns(max(len(block.times_s) for block in blocks), 2 if pen.narrow else 5)
    legend = _LEGEND + (0.36 if pen.narrow else 0.0)
    heights = [_NAME + block.rows(columns) * (_TITLE + _PANEL) + _AXIS for block in blocks]
    figure = pen.figure(legend + sum(heights))
    _legend(pen, figure)
    top = legend
    for block, height in zip(blocks, heights, strict=True):
        _draw_block(pen, figure, block, top, columns)
        top += height
    return figure


def _columns(count: int, most: int) -> int:
    """Return the number of columns that gives the fewest rows, as even as possible."""
    shown = min(count, _MOST)
    return math.ceil(shown / math.ceil(shown / most))


def _draw_block(pen: Pen, figure: Figure, block: _Block, top: float, columns: int) -> None:
    width = (pen.width_in - _LEFT - _GAP * (columns - 1)) / columns
    shown = min(len(block.times_s), _MOST)
    slowest = max(max(times) for times in block.times_s[:shown])
    fastest = min(min(times) for times in block.times_s[:shown])
    logarithmic = slowest > _LOG_SPREAD * fastest
    longest = max(len(times) for times in block.times_s[:shown])
    for index in range(shown):
        row, column = divmod(index, columns)
        panel_top = top + _NAME + row * (_TITLE + _PANEL) + _TITLE
        left = _LEFT + column * (width + _GAP)
        axes = pen.axes(figure, left, panel_top, width, _PANEL, grid="y")
        if not index:
            part = f" ({shown} of {len(block.times_s)} processes)" if shown < len(block.times_s) else ""
            heading = shortened(block.name, 20 if pen.narrow else 60) + part
            pen.text(axes, 0, top + _NAME / 2, heading, fontweight="bold", fontsize=pen.size + 1)
        process = block.warmup.processes[index]
        title = f"process {block.numbers[index]}: {process.shape}"
        pen.text(axes, left, panel_top - _TITLE / 2, title, "muted", fontsize=pen.size - 1)
        axes.set_xlim(0, longest + 1)
        _scale(axes, fastest, slowest, logarithmic=logarithmic)
        _draw_process(pen, axes, block.times_s[index], process)
        axes.tick_params(labelleft=column == 0, labelbottom=index + columns >= shown)
    if shown:
        last = top + _NAME + block.rows(columns) * (_TITLE + _PANEL)
        pen.text(axes, left + width, last + _AXIS - 0.06, "prediction", "muted", ha="right", fontsize=pen.size - 1)


def _scale(axes: Axes, fastest: float, slowest: float, *, logarithmic: bool) -> None:
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(fastest / 1.3, slowest * 1.3)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if slowest < 100 * fastest else (1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, slowest * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: format_seconds(value) if value else "0")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True))


def _draw_process(pen: Pen, axes: Axes, times_s: tuple[float, ...], process: ProcessWarmup) -> None:
    numbers = range(1, len(times_s) + 1)
    odd = outliers(times_s) if process.segments else [False] * len(times_s)
    usual = [(number, time) for number, time, out in zip(numbers, times_s, odd, strict=True) if not out]
    rest = [(number, time) for number, time, out in zip(numbers, times_s, odd, strict=True) if out]
    color = pen.palette["series-1"]
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 2.6, "clip_on": False}
    if process.steady_s is not None and process.iterations_to_steady is not None:
        since = process.iterations_to_steady + 0.5
        band = axes.axvspan(since, len(times_s) + 0.5, color=pen.palette["good"], alpha=0.13, linewidth=0)
        pen.tip(band, f"steady from prediction {since + 0.5:.0f} on: {format_seconds(process.steady_s)}")
    if usual:
        pen.dots(axes, usual, "series-1")
    if rest:
        axes.plot(*zip(*rest, strict=True), markeredgecolor=color, markerfacecolor="none", markeredgewidth=0.7, **dot)
    for part in process.segments:
        (level,) = axes.plot(
            (part.start + 0.5, part.stop + 0.5), (part.mean_s, part.mean_s), color=pen.palette["ink"], linewidth=1.4
        )
        pen.tip(level, f"predictions {part.start + 1} to {part.stop}: {format_seconds(part.mean_s)} on average")
    for part in process.segments[1:]:
        line = axes.axvline(part.start + 0.5, color=pen.palette["bad"], linewidth=1, linestyle=(0, (3, 2)))
        pen.tip(line, f"changepoint before prediction {part.start + 1}")


def _legend(pen: Pen, figure: Figure) -> None:
    color = pen.palette["series-1"]
    dot = {"linestyle": "none", "marker": "o", "markersize": 4}
    entries = [
        ("prediction", {**dot, "color": color, "alpha": 0.7}),
        ("outlier", {**dot, "markeredgecolor": color, "markerfacecolor": "none"}),
        ("level", {"color": pen.palette["ink"], "linewidth": 1.4}),
        ("changepoint", {"color": pen.palette["bad"], "linewidth": 1, "linestyle": (0, (3, 2))}),
        ("steady", {"linestyle": "none", "marker": "s", "markersize": 8, "color": pen.palette["good"], "alpha": 0.3}),
    ]
    pen.legend(figure, 0.02, entries)
