"""Show the current start of a bench on stderr: a bar on a terminal, otherwise one line for each start."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pilotlight.bench.harness.targets import SeriesStep

__all__ = ["RunProgress"]

_REDRAW_S = 0.2


class RunProgress:
    """Shows every start and prediction; draws only between them, so that none is disturbed.

    Args:
        what: the name of a start in this bench: ``start``, ``process``.
        rounds: the measured starts of each target.
        targets: the number of targets.
        predictions: the predictions in each measured start, counted by ``tick``; 0 if they are not counted.
        console: the console to draw on; stderr by default.
    """

    def __init__(
        self, what: str, rounds: int, targets: int, predictions: int = 0, *, console: Console | None = None
    ) -> None:
        self._what = what
        self._rounds = rounds
        self._predictions = predictions
        self._drawn_s = 0.0
        self._started = 0
        console = console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal,
        )
        total = targets * (rounds * max(predictions, 1) + (0 if predictions else 1))
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def announce(self, step: SeriesStep) -> None:
        """Announce the next start."""
        which = "not measured" if step.round < 0 else f"{step.round + 1} of {self._rounds}"
        text = f"{step.target.name}: {self._what} {which}"
        if self._bar.disable:
            click.echo(text, err=True)
            return
        done = None if self._predictions else self._started
        self._started += 1
        self._bar.update(self._task, description=text, completed=done, refresh=True)

    def tick(self) -> None:
        """Count a prediction that has ended, before the next begins."""
        now_s = time.monotonic()
        due = now_s - self._drawn_s >= _REDRAW_S
        self._bar.update(self._task, advance=1, refresh=due)
        self._drawn_s = now_s if due else self._drawn_s
