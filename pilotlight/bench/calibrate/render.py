"""Render a calibration for a terminal, and its figures as text."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pilotlight.bench.calibrate.measure import Calibration, CalibrationFigure

__all__ = ["CALIBRATE", "NOT_CALIBRATED", "calibration_report", "measured", "target"]

CALIBRATE = "pilotlight bench calibrate --json > calibration.json"
NOT_CALIBRATED = "The error rates of these statistics have not been measured here. Give this report the output of:"

_MILLISECONDS_S = 1e-4  # longer times are shown in milliseconds


def calibration_report(found: Calibration) -> Group:
    """Return each figure with its target, and a sentence."""
    table = Table("figure", box=None, pad_edge=False)
    for title in ("measured", "target", "trials"):
        table.add_column(title, justify="right")
    table.add_column("")
    for figure in found.figures:
        verdict = Text("ok") if figure.ok else Text("outside", style="bold red")
        table.add_row(Text(figure.name), measured(figure), target(figure), str(figure.trials), verdict)
    return Group(table, "", Text(found.sentence))


def measured(figure: CalibrationFigure) -> str:
    """Return the figure's value: ``5.2%``, ``54 ns``, ``0.4% (-0.9% to 1.7%)``."""
    value = _shown(figure, figure.value)
    if figure.interval is None:
        return value
    low, high = (_shown(figure, end) for end in figure.interval)
    return f"{value} ({low} to {high})"


def target(figure: CalibrationFigure) -> str:
    """Return the range of its target."""
    if figure.low <= 0:
        return f"at most {_shown(figure, figure.high)}"
    if figure.unit == "share" and figure.high >= 1:
        return f"at least {_shown(figure, figure.low)}"
    return f"{_shown(figure, figure.low)} to {_shown(figure, figure.high)}"


def _shown(figure: CalibrationFigure, value: float) -> str:
    if figure.unit == "share":
        return f"{value:.1%}"
    return f"{value * 1e3:.2f} ms" if value >= _MILLISECONDS_S else f"{value * 1e9:.0f} ns"
