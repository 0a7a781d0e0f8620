"""Write a report: the page, and each chart as a PNG, light and dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pilotlight.bench.report.charts.chart import Chart, as_png
from pilotlight.bench.report.charts.cold import cold_charts
from pilotlight.bench.report.charts.load import load_charts
from pilotlight.bench.report.charts.warm import warm_charts
from pilotlight.bench.report.pages.page import default_title, page
from pilotlight.bench.report.sources import ReportSources
from pilotlight.errors import UsageError

__all__ = ["PAGE_NAME", "charts_of", "write_report"]

PAGE_NAME = "report.html"


def charts_of(sources: ReportSources) -> dict[str, list[Chart]]:
    """Return every chart that has data, by the kind of result."""
    return {
        "cold": cold_charts(sources.cold) if sources.cold else [],
        "warm": warm_charts(sources.warm) if sources.warm else [],
        "load": load_charts(sources.loads),
    }


def write_report(sources: ReportSources, folder: Path, title: str | None = None) -> list[Path]:
    """Write into ``folder``, which is created if missing; return the written paths.

    Raises:
        UsageError: the folder cannot be written.
    """
    charts = charts_of(sources)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in _contents(sources, charts, folder, title or default_title(sources)):
            path.write_bytes(content)
            written.append(path)
    except OSError as error:
        raise UsageError(f"--out {folder}: {os.strerror(error.errno or 0)}; choose another folder") from error
    return written


def _contents(
    sources: ReportSources, charts: dict[str, list[Chart]], folder: Path, title: str
) -> Iterator[tuple[Path, bytes]]:
    yield folder / PAGE_NAME, page(sources, charts, title).encode()
    for some in charts.values():
        for chart in some:
            yield folder / f"{chart.name}-light.png", as_png(chart, dark=False)
            yield folder / f"{chart.name}-dark.png", as_png(chart, dark=True)
