"""``pilotlight bench report``: show results as tables, charts and a page, from their files alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click
from rich.console import Console

from pilotlight.bench.report.render import terminal_report
from pilotlight.bench.report.sources import ReportSources, read_sources
from pilotlight.errors import UsageError

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight bench report cold.json
  pilotlight bench report cold.json warm.json load.json calibration.json --out docs/report
"""


@click.command("report", epilog=_EXAMPLES)
@click.argument("results", nargs=-1, required=True, metavar="RESULT...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the page and the pictures. Without it, print tables on the terminal.",
)
@click.option("--title", show_default="what was measured of what", help="Title of the page.")
def command(results: tuple[Path, ...], out: Path | None, title: str | None) -> None:
    """Show the results of bench cold, warm, load and compare.

    RESULT is any of their JSON files, and at most one output of `bench calibrate --json`, which adds the calibration of
    the statistics to the report. Several results of bench cold, or of bench warm, are merged if they come from the same
    machine and settings.

    The --out folder then holds report.html, one self-contained file, and each picture as PNG in a light and a dark
    version. The same results give the same bytes.
    """
    sources = read_sources(results)
    if out is not None:
        _write(sources, out, title)
    elif title is not None:
        raise UsageError("--title applies to the page: give --out as well")
    Console().print(terminal_report(sources))


def _write(sources: ReportSources, out: Path, title: str | None) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            "--out needs matplotlib for its pictures: pip install 'pilotlight[report]'; "
            "without --out the tables are printed"
        )
    from pilotlight.bench.report.write import write_report

    for path in write_report(sources, out, title):
        click.echo(f"Written to: {path}", err=True)
