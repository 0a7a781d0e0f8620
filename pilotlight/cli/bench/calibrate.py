"""``pilotlight bench calibrate``: check whether the statistics and the clock of this installation can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pilotlight.bench.calibrate.figures import CalibrationFigure
from pilotlight.bench.calibrate.measure import MAX_RUNS, MIN_RUNS, calibrate
from pilotlight.bench.calibrate.measure import Progress as OnProgress
from pilotlight.bench.calibrate.overhead import MIN_STARTS, measure_overhead
from pilotlight.bench.calibrate.render import calibration_report
from pilotlight.bench.calibrate.results import CalibrationFile
from pilotlight.cli.common.options import python_option

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight bench calibrate
  pilotlight bench calibrate --runs 2000 --json
  pilotlight bench calibrate --starts 0
"""


@click.command("calibrate", epilog=_EXAMPLES)
@click.option(
    "--runs",
    type=click.IntRange(MIN_RUNS, MAX_RUNS),
    default=500,
    show_default=True,
    help="Synthetic data sets for each figure; 500 take about 15 s of one core.",
)
@click.option(
    "--starts",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help=f"Observed starts, and as many unobserved; 0 for none, else at least {MIN_STARTS}. 12 take about 15 s.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the data and of the order."
)
@python_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and no progress.")
@click.pass_context
def command(ctx: click.Context, runs: int, starts: int, seed: int, python: Path, as_json: bool) -> None:
    """Test the statistics on synthetic data, the resolution of the clock, and the overhead of measuring.

    The exit status is 1 when a figure misses its target.
    """
    added: tuple[CalibrationFigure, ...] = ()
    if starts:  # first, because it can fail
        with _progress("starting workers", quiet=as_json) as on_progress:
            added = asyncio.run(measure_overhead(starts=starts, seed=seed, python=python, on_progress=on_progress))
    with _progress("calibrating", quiet=as_json) as on_progress:
        found = calibrate(runs=runs, seed=seed, on_progress=on_progress)
    found = replace(found, figures=(*found.figures, *added))
    if as_json:
        click.echo(CalibrationFile.of(found).model_dump_json(indent=2))
    else:
        Console(highlight=False).print(calibration_report(found), soft_wrap=True)
    if not found.ok:
        ctx.exit(1)


@contextlib.contextmanager
def _progress(description: str, *, quiet: bool) -> Iterator[OnProgress | None]:
    """Show a progress bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
