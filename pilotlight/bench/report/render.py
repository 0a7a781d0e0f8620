"""Render a report for a terminal: the output of each bench in turn, and the calibration last."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight.bench.calibrate.render import CALIBRATE, NOT_CALIBRATED, calibration_report
from pilotlight.bench.cold.render import cold_report
from pilotlight.bench.load.render import load_report
from pilotlight.bench.report.sources import ReportSources
from pilotlight.bench.warm.render import warm_report

__all__ = ["terminal_report"]


def terminal_report(sources: ReportSources) -> Group:
    """Return the tables of every result."""
    parts: list[RenderableType] = []
    if sources.cold:
        parts += [cold_report(sources.cold), ""]
    if sources.warm:
        parts += [warm_report(sources.warm), ""]
    for load in sources.loads.values():
        parts += [load_report(load), ""]
    if sources.calibration:
        parts.append(calibration_report(sources.calibration))
    else:
        parts.append(Text(f"{NOT_CALIBRATED}\n  {CALIBRATE}", style="dim"))
    return Group(*parts)
