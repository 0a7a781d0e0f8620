"""``pilotlight bench``: a module for each subcommand, imported when it is asked for."""

from __future__ import annotations

import click

from pilotlight.cli.lazy import LazyGroup

__all__ = ["command"]

_COMMANDS = {
    "cold": ("pilotlight.cli.bench_cold:command", "Measure cold starts, stage by stage."),
    "calibrate": ("pilotlight.cli.bench_calibrate:command", "Check the statistics and the clock of this machine."),
}

_EXAMPLES = """\b
Examples:
  pilotlight bench cold
  pilotlight bench cold path/to/one path/to/another --page-cache dropped
"""


@click.group("bench", cls=LazyGroup, table=_COMMANDS, epilog=_EXAMPLES)
def command() -> None:
    """Measure a Cog project: numbers with intervals, and all that they rest on."""
