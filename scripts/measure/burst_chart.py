"""The picture of a burst: every request as a bar, and below them the queue and the workers, from the saved figures."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pilotlight.bench.report.charts.chart import Chart, Pen

_LEGEND, _NAME, _BARS, _LINES, _GAP, _AXIS = 0.34, 0.34, 2.3, 0.62, 0.14, 0.5  # heights, in inches
_BLOCK = _NAME + _BARS + 2 * (_GAP + _LINES) + _AXIS
_LEFT = 0.85
# Of a request, in the order of its life: the figure, what it is called, and its color.
_PARTS = (
    ("cold_start_s", "waiting for a worker to start", "stage-imports"),
    ("queue_s", "waiting for a slot", "stage-spawn"),
    ("predict_s", "predicting", "stage-first_prediction"),
)
_SAMPLES = (
    ("requests", (("waiting", "stage-spawn"), ("running", "stage-first_prediction"))),
    ("workers", (("starting", "stage-imports"), ("ready", "stage-weights"))),
)


def burst_chart(result: dict[str, Any]) -> Chart:
    """Of a file that ``scripts/measure/burst.py`` wrote."""
    told = " ".join(f"{_heading(burst)}; all were answered after {_end(burst):.1f} s." for burst in result["bursts"])
    return Chart("burst", "Many requests at once to a version that sleeps", told, lambda pen: _draw(pen, result))


def _draw(pen: Pen, result: dict[str, Any]) -> Figure:
    bursts = result["bursts"]
    figure = pen.figure(_LEGEND + _BLOCK * len(bursts))
    square = {"linestyle": "none", "marker": "s", "markersize": 8}
    names = [*((text, role) for _, text, role in _PARTS), ("workers ready", "stage-weights")]
    pen.legend(figure, 0.02, [(text, {**square, "color": pen.palette[role]}) for text, role in names])
    for index, burst in enumerate(bursts):
        _draw_burst(pen, figure, burst, _LEGEND + index * _BLOCK)
    return figure


def _draw_burst(pen: Pen, figure: Figure, burst: dict[str, Any], top: float) -> None:
    width = pen.width_in - _LEFT - 0.1
    bars = pen.axes(figure, _LEFT, top + _NAME, width, _BARS)
    pen.text(bars, 0, top + _NAME / 2, _heading(burst), fontweight="bold", fontsize=pen.size + 1)
    _draw_bars(pen, bars, burst["requests"])
    panels = [bars]
    for index, (what, lines) in enumerate(_SAMPLES):
        place = top + _NAME + _BARS + _GAP + index * (_LINES + _GAP)
        axes = pen.axes(figure, _LEFT, place, width, _LINES, grid="both")
        for key, role in lines:
            points = [(0.0, 0), *((one["at_s"], one[key]) for one in burst["samples"])]
            axes.step(*zip(*points, strict=True), where="post", color=pen.palette[role], linewidth=1.6)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
        pen.text(axes, 0, place + _LINES / 2, what, "muted")
        panels.append(axes)
    for axes in panels:
        axes.set_xlim(0, _end(burst) * 1.02)
        pen.few_ticks(axes)
        axes.tick_params(labelbottom=axes is panels[-1])
    pen.text(bars, 0, top + _NAME + _BARS / 2, "each request", "muted")
    pen.text(bars, pen.width_in - 0.1, top + _BLOCK - 0.14, "seconds since they were sent", "muted", ha="right")


def _draw_bars(pen: Pen, axes: Axes, requests: list[dict[str, Any]]) -> None:
    """In the order in which workers took them."""
    ordered = sorted(
        requests, key=lambda one: (one["accepted_s"] + one["cold_start_s"] + one["queue_s"], one["ended_s"])
    )
    for row, one in enumerate(ordered):
        left = one["accepted_s"]
        for key, _, role in _PARTS:
            axes.barh(row, one[key], left=left, height=0.8, color=pen.palette[role], linewidth=0)
            left += one[key]
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.set_yticks([])


def _end(burst: dict[str, Any]) -> float:
    return max(one["answered_s"] for one in burst["requests"])


def _heading(burst: dict[str, Any]) -> str:
    workers = "one worker" if burst["max_workers"] == 1 else f"up to {burst['max_workers']} workers"
    slots = "one slot" if burst["slots"] == 1 else f"{burst['slots']} slots"
    return f"{burst['project']}: {len(burst['requests'])} requests at once, {workers} with {slots} each"
