"""Show the current step of a load on stderr: a bar on a terminal, otherwise one line for each step."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pilotlight.bench.load.steps import LoadStep

__all__ = ["LoadProgress"]

# Drawing the bar takes milliseconds, during which the generator does nothing else.
_REDRAW_S = 1.0


class LoadProgress:
    """Shows every step and the time spent in it."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self._drawn_s = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def announce(self, what: str) -> None:
        """Announce the next action."""
        if self._bar.disable:
            click.echo(what, err=True)
            return
        self._drawn_s = 0.0
        self._bar.reset(self._task, description=what, total=None)
        self._bar.refresh()

    def look(self, step: LoadStep, elapsed_s: float) -> None:
        """Show the age of a step."""
        if self._bar.disable or elapsed_s < self._drawn_s + _REDRAW_S:
            return
        self._drawn_s = elapsed_s
        self._bar.update(self._task, total=step.duration_s, completed=elapsed_s, refresh=True)
