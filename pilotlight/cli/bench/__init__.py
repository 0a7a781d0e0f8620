"""``pilotlight bench``: one module for each subcommand, imported only when it is called."""

from __future__ import annotations

import click

from pilotlight.cli.common.lazy import LazyGroup

__all__ = ["command"]

_SECTIONS = {
    "Commands": {
        "cold": ("pilotlight.cli.bench.cold:command", "Measure cold starts, stage by stage."),
        "warm": ("pilotlight.cli.bench.warm:command", "Measure warm-up, prediction by prediction."),
        "load": ("pilotlight.cli.bench.load:command", "Measure a project or a server under load."),
        "compare": ("pilotlight.cli.bench.compare:command", "Tell whether one project is faster than another; for CI."),
        "merge": ("pilotlight.cli.bench.merge:command", "Merge several results into one."),
        "report": ("pilotlight.cli.bench.report:command", "Show results: tables, charts, one HTML page."),
        "calibrate": ("pilotlight.cli.bench.calibrate:command", "Check the statistics and this machine's clock."),
    }
}

_EXAMPLES = """\b
Examples:
  pilotlight bench cold
  pilotlight bench cold path/to/one path/to/another --page-cache dropped
  pilotlight bench load --clients 1,2,4,8 -i prompt="def main(args):"
  pilotlight bench compare .@main . --fail-if slower:5%
  pilotlight bench report bench-*.json --out report
"""


@click.group("bench", cls=LazyGroup, sections=_SECTIONS, epilog=_EXAMPLES)
def command() -> None:
    """Measure a Cog project. Every figure has a confidence interval, and every result file holds the raw values."""
