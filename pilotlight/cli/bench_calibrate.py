"""``pilotlight bench calibrate``: are the statistics and the clock of this installation to be trusted?"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pilotlight.bench.calibration import MAX_RUNS, MIN_RUNS, Calibration, Figure, calibrate
from pilotlight.bench.calibration import Progress as OnProgress

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight bench calibrate
  pilotlight bench calibrate --runs 2000 --json
"""


@click.command("calibrate", epilog=_EXAMPLES)
@click.option(
    "--runs",
    type=click.IntRange(MIN_RUNS, MAX_RUNS),
    default=500,
    show_default=True,
    help="Data sets for each figure; 500 take about 15 s of one core.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the data.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and no progress.")
@click.pass_context
def command(ctx: click.Context, runs: int, seed: int, as_json: bool) -> None:
    """Try the statistics on data whose truth is known, and the clock.

    Exit status 1 when a figure is outside its target.
    """
    with _progress(quiet=as_json) as on_progress:
        found = calibrate(runs=runs, seed=seed, on_progress=on_progress)
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
    else:
        _print_table(found)
    if not found.ok:
        ctx.exit(1)


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[OnProgress | None]:
    """A bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("calibrating", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _document(found: Calibration) -> dict[str, object]:
    figures = [{**asdict(figure), "ok": figure.ok} for figure in found.figures]
    return {"ok": found.ok, "runs": found.runs, "seed": found.seed, "figures": figures}


def _print_table(found: Calibration) -> None:
    table = Table("figure", box=None, pad_edge=False)
    for title in ("measured", "target", "trials"):
        table.add_column(title, justify="right")
    table.add_column("")
    for figure in found.figures:
        verdict = "ok" if figure.ok else "[bold red]outside[/]"
        table.add_row(figure.name, _shown(figure, figure.value), _target(figure), str(figure.trials), verdict)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\n{found.sentence}", soft_wrap=True)


def _target(figure: Figure) -> str:
    if figure.low <= 0:
        return f"at most {_shown(figure, figure.high)}"
    if figure.unit == "share" and figure.high >= 1:
        return f"at least {_shown(figure, figure.low)}"
    return f"{_shown(figure, figure.low)} to {_shown(figure, figure.high)}"


def _shown(figure: Figure, value: float) -> str:
    return f"{value:.1%}" if figure.unit == "share" else f"{value * 1e9:.0f} ns"
