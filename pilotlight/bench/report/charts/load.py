"""Charts of load: latency percentiles, and throughput over load."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from pilotlight.bench.load.render import level
from pilotlight.bench.load.results import Distribution, LoadResult, StepResult
from pilotlight.bench.report.charts.chart import Chart, Pen, shortened
from pilotlight.bench.report.charts.theme import series_role
from pilotlight.bench.stats.warmup import format_seconds

__all__ = ["load_charts"]

_MOST_PANELS = 6
_LEGEND, _TITLE, _PANEL, _AXIS, _GAP = 0.34, 0.26, 1.75, 0.42, 0.22  # in inches
_LEFT = 0.62
_TAILS = (0.5, 0.9, 0.99, 0.999, 0.9999)
_DASHES = (0, (4, 2))
_GOODPUT_DASHES = (_DASHES, (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def load_charts(loads: Mapping[str, LoadResult]) -> list[Chart]:
    """Return two charts for each kind of loop; ``loads`` by the name to show for each."""
    charts = []
    for loop in ("closed", "open"):
        some = {name: load for name, load in loads.items() if load.settings.loop == loop and load.steps}
        if some:
            charts += [_throughput_chart(loop, some), *_latency_chart(loop, some)]
    return charts


def _amount(step: StepResult) -> float:
    """Return the position of a step on the axis: clients, or arrivals per second."""
    return float(step.clients if step.clients is not None else step.rate or 0.0)


def _throughput_chart(loop: str, loads: Mapping[str, LoadResult]) -> Chart:
    told = []
    for name, one in loads.items():
        steps = (f"{step.summary.achieved_per_s:.3g} per second at {level(step)}" for step in one.steps)
        told.append(f"{name}: {', '.join(steps)}.")
    title = "Throughput and response time against " + ("clients" if loop == "closed" else "offered load")
    return Chart(f"throughput-{loop}", title, " ".join(told), lambda pen: _throughput(pen, loop, loads))


def _latency_chart(loop: str, loads: Mapping[str, LoadResult]) -> list[Chart]:
    if not any(step.summary.response.n for one in loads.values() for step in one.steps):
        return []
    told = "The share of requests up to each time, on a scale that stretches the slowest ones. " + " ".join(
        f"{name} at {level(step)}: slowest response {format_seconds(step.summary.response.max_s)}."
        for name, one in loads.items()
        for step in one.steps
        if step.summary.response.max_s is not None
    )
    title = "Request times up to the slowest"
    return [Chart(f"latency-{loop}", title, told, lambda pen: _latency(pen, loads))]


# --- throughput ---


def _throughput(pen: Pen, loop: str, loads: Mapping[str, LoadResult]) -> Figure:
    legend = _legend_height(pen, len(loads))
    width = pen.width_in - _LEFT if pen.narrow else (pen.width_in - 2 * _LEFT - _GAP) / 2
    one = _TITLE + _PANEL + 0.25 + _AXIS
    figure = pen.figure(legend + one * (2 if pen.narrow else 1))
    second = (_LEFT, legend + one) if pen.narrow else (2 * _LEFT + width + _GAP, legend)
    places = ((_LEFT, legend), second)
    panels = [pen.axes(figure, left, top + _TITLE, width, _PANEL + 0.25, grid="both") for left, top in places]
    titles = (("succeeded per second", _goodput_key(loads)), ("response time", "p50, dashed: p95"))
    for axes, (left, top), (title, key) in zip(panels, places, titles, strict=True):
        pen.text(axes, left, top + _TITLE / 2, title, fontweight="bold")
        pen.text(axes, left + width, top + _TITLE / 2, key, "muted", ha="right", fontsize=pen.size - 1)
        _level_axis(pen, axes, loop, loads)
        under = top + _TITLE + _PANEL + 0.25 + _AXIS - 0.08
        label = "clients" if loop == "closed" else "requests offered per second"
        pen.text(axes, left + width, under, label, "muted", ha="right", fontsize=pen.size - 1)
    for index, (name, load) in enumerate(loads.items()):
        color = pen.palette[series_role(index, len(loads))]
        _draw_throughput(pen, panels[0], name, load, color)
        _draw_response(pen, panels[1], name, load, color)
    _throughput_scales(pen, panels, loop)
    pen.legend(figure, 0.02, _names(pen, loads))
    return figure


def _goodput_key(loads: Mapping[str, LoadResult]) -> str:
    objectives = dict.fromkeys(objective for load in loads.values() for objective in load.settings.objectives)
    lines = zip(("dashed", "dotted", "dash-dotted"), objectives, strict=False)
    return ", ".join(f"{line}: within {shortened(objective, 14)}" for line, objective in lines)


def _level_axis(pen: Pen, axes: Axes, loop: str, loads: Mapping[str, LoadResult]) -> None:
    levels = sorted({_amount(step) for one in loads.values() for step in one.steps})
    if loop == "closed" and levels[-1] > 4 * levels[0]:
        axes.set_xscale("log", base=2)
        axes.set_xlim(levels[0] / 1.25, levels[-1] * 1.25)
    else:
        axes.set_xlim(0, levels[-1] * 1.08)
    room = 6 if pen.narrow else 8
    axes.xaxis.set_major_locator(FixedLocator(levels[:: math.ceil(len(levels) / room)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _draw_throughput(pen: Pen, axes: Axes, name: str, load: LoadResult, color: str) -> None:
    levels = [_amount(step) for step in load.steps]
    axes.plot(levels, [step.summary.achieved_per_s for step in load.steps], color=color, linewidth=1.8)
    for step in load.steps:
        sound = step.complete and not step.audit.problems
        (dot,) = axes.plot(
            _amount(step),
            step.summary.achieved_per_s,
            "o",
            markersize=5.5,
            markeredgecolor=color,
            markerfacecolor=color if sound else pen.palette["paper"],
            markeredgewidth=1.4,
            clip_on=False,
            zorder=3,
        )
        warning = "" if sound else "; with a warning, see the table"
        pen.tip(dot, f"{name}, {level(step)}: {step.summary.achieved_per_s:.3g} per second{warning}")
    for objective, dashes in zip(load.settings.objectives, _GOODPUT_DASHES, strict=False):
        good = [next((g.per_s for g in step.summary.goodput if g.objective == objective), None) for step in load.steps]
        points = [(level, per_s) for level, per_s in zip(levels, good, strict=True) if per_s is not None]
        if points:
            (line,) = axes.plot(*zip(*points, strict=True), color=color, linewidth=1.3, linestyle=dashes)
            pen.tip(line, f"{name}: goodput at {objective}")


def _draw_response(pen: Pen, axes: Axes, name: str, load: LoadResult, color: str) -> None:
    for q, dashes in ((0.5, "-"), (0.95, _DASHES)):
        points = [
            (_amount(step), value_s)
            for step in load.steps
            if step.summary.response.n and (value_s := step.summary.response.quantile(q).value_s) is not None
        ]
        if points:
            marker: dict[str, Any] = {"marker": "o", "markersize": 4, "markeredgewidth": 0, "clip_on": False}
            (line,) = axes.plot(*zip(*points, strict=True), color=color, linewidth=1.5, linestyle=dashes, **marker)
            pen.tip(line, f"{name}: p{q * 100:g} of response time")


def _throughput_scales(pen: Pen, panels: Sequence[Axes], loop: str) -> None:
    first, second = panels
    top = max(first.get_ylim()[1], 1e-9)
    first.set_ylim(0, top * 1.05)
    first.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    if loop == "open":
        reach = min(first.get_xlim()[1], first.get_ylim()[1])
        first.plot((0, reach), (0, reach), color=pen.palette["muted"], linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    if second.lines:
        second.set_yscale("log")
        _seconds_axis(second, "y")
    else:
        second.set_yticks([])


# --- latency ---


def _latency(pen: Pen, loads: Mapping[str, LoadResult]) -> Figure:
    names = _shown_steps(loads)
    columns = min(1 if pen.narrow else 3, len(names))
    rows = math.ceil(len(names) / columns)
    legend = _legend_height(pen, len(loads) + 2)
    cell = _TITLE + _PANEL + 0.3
    width = (pen.width_in - _LEFT - _GAP * columns) / columns
    figure = pen.figure(legend + rows * cell)
    panels = {}
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        left, top = _LEFT + column * (width + _GAP), legend + row * cell
        axes = pen.axes(figure, left, top + _TITLE, width, _PANEL, grid="both")
        pen.text(axes, left, top + _TITLE / 2, name, fontweight="bold")
        axes.tick_params(labelleft=column == 0)
        panels[name] = axes
    for index, (name, load) in enumerate(loads.items()):
        color = pen.palette[series_role(index, len(loads))]
        for step in load.steps:
            if level(step) in panels:
                _draw_tail(pen, panels[level(step)], name, step, color)
    _tail_scales(list(panels.values()))
    ink = pen.palette["ink"]
    entries = _names(pen, loads)
    entries += [
        ("response, from the intended start", {"color": ink, "linewidth": 1.6}),
        ("service, from the send", {"color": ink, "linewidth": 1.2, "linestyle": _DASHES}),
    ]
    pen.legend(figure, 0.02, entries)
    return figure


def _shown_steps(loads: Mapping[str, LoadResult]) -> list[str]:
    """Return the levels that have answers; of many, the first, the last and some between."""
    levels = {level(step): _amount(step) for one in loads.values() for step in one.steps if step.summary.response.n}
    ordered = sorted(levels, key=lambda name: levels[name])
    if len(ordered) <= _MOST_PANELS:
        return ordered
    last = len(ordered) - 1
    return [ordered[round(index * last / (_MOST_PANELS - 1))] for index in range(_MOST_PANELS)]


def _draw_tail(pen: Pen, axes: Axes, name: str, step: StepResult, color: str) -> None:
    lines: tuple[tuple[str, Distribution, dict[str, Any]], ...] = (
        ("response", step.summary.response, {"linewidth": 1.7}),
        ("service", step.summary.service, {"linewidth": 1.2, "linestyle": _DASHES}),
    )
    for kind, distribution, style in lines:
        if distribution.n:
            times, heights = zip(*_tail(distribution), strict=True)
            (line,) = axes.plot(times, heights, color=color, drawstyle="steps-post", **style)
            pen.tip(line, f"{name}, {level(step)}: {kind} time of {distribution.n} requests")


def _tail(distribution: Distribution) -> Iterator[tuple[float, float]]:
    """Yield points of the distribution; heights are ``-log10(1 - q)``: 1 at p90, 2 at p99.

    The k-th of n values stands for the quantile (k - 1/2) / n, so that the slowest is not infinitely high.
    """
    below = accumulate(bucket.count for bucket in distribution.histogram)
    yield distribution.histogram[0].low_s, 0.0
    for bucket, count in zip(distribution.histogram, below, strict=True):
        yield bucket.high_s, -math.log10(1 - (count - 0.5) / distribution.n)


def _tail_scales(panels: list[Axes]) -> None:
    """Set the same axes for all panels."""
    lines = [np.asarray(line.get_xydata(), dtype=np.float64) for axes in panels for line in axes.lines]
    every = np.concatenate(lines)
    fastest, slowest, highest = float(every[:, 0].min()), float(every[:, 0].max()), float(every[:, 1].max())
    ticks = [-math.log10(1 - q) for q in _TAILS]
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(max(fastest, slowest * 1e-5) / 1.1, slowest * 1.15)
        axes.set_ylim(0, highest * 1.06)
        shown = [(tick, q) for tick, q in zip(ticks, _TAILS, strict=True) if tick <= highest * 1.06]
        axes.yaxis.set_major_locator(FixedLocator([tick for tick, _ in shown]))
        axes.set_yticklabels([f"p{q * 100:g}" for _, q in shown])
        _seconds_axis(axes, "x")


# --- both ---


def _seconds_axis(axes: Axes, which: str) -> None:
    """Set a few round numbers on a logarithmic axis of seconds."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    narrow = high / low
    axis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if narrow < 30 else (1.0, 3.0) if narrow < 300 else (1.0,), numticks=12)
    )
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: format_seconds(value))


def _names(pen: Pen, loads: Mapping[str, LoadResult]) -> list[tuple[str, dict[str, Any]]]:
    """Return the legend entries of the projects."""
    return [
        (shortened(name, 28), {"color": pen.palette[series_role(index, len(loads))], "linewidth": 2.4})
        for index, name in enumerate(loads)
    ]


def _legend_height(pen: Pen, entries: int) -> float:
    return _LEGEND + (0.19 * (math.ceil(entries / 2) - 1) if pen.narrow else 0.0)
