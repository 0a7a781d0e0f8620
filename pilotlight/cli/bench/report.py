"""``pilotlight bench report``: results as tables, pictures and a page, from their files alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click
from rich.console import Console

from pilotlight.bench.report.render import terminal_report
from pilotlight.bench.report.sources import Sources, read_sources
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
    help="A folder for the page and the pictures; without it, tables on the terminal alone.",
)
@click.option("--title", show_default="what was measured of what", help="Of the page.")
def command(results: tuple[Path, ...], out: Path | None, title: str | None) -> None:
    """Show results that bench cold, warm, load and compare have written.

    RESULT is any of their JSON files, and at most one that `bench calibrate --json` has printed, which says at the
    foot of the report how far its statistics can be trusted. Several results of bench cold, or of bench warm, are
    taken as one run, if they come from the same machine and settings.

    In the folder are report.html, one file that needs no network and nothing beside it, and each picture as PNG in a
    light and a dark version. The same results make the same bytes.
    """
    sources = read_sources(results)
    if out is not None:
        _write(sources, out, title)
    elif title is not None:
        raise UsageError("--title is of the page: give --out as well")
    Console().print(terminal_report(sources))


def _write(sources: Sources, out: Path, title: str | None) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            "--out needs matplotlib for its pictures: pip install 'pilotlight[report]'; "
            "without --out the tables are printed"
        )
    from pilotlight.bench.report.write import write_report

    for path in write_report(sources, out, title):
        click.echo(f"Written to: {path}", err=True)
