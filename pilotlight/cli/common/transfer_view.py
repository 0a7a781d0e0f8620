"""Shows the progress of a fetch or verification on the terminal: a total bar and one bar for each active file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pilotlight.loading.progress import Watcher


@contextlib.contextmanager
def watching(title: str, *, quiet: bool) -> Iterator[Watcher]:
    """Provide a watcher that draws on stderr if that is a terminal and not ``quiet``; else it prints notes there."""
    console = Console(stderr=True, highlight=False, markup=False)
    if quiet or not console.is_terminal:
        yield _Lines(console)
        return
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        yield _Bars(title, progress)


class _Lines:
    """Prints notes only."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        """Draw nothing."""

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        """Draw nothing."""

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class _Bars(_Lines):
    """Draws bars; rich's ``Progress`` may be updated from any thread."""

    def __init__(self, title: str, progress: Progress) -> None:
        super().__init__(progress.console)
        self._progress = progress
        self._total = progress.add_task(title, total=None)
        self._sizes: dict[str, int | None] = {}
        self._done: dict[str, int] = {}
        self._tasks: dict[str, TaskID] = {}

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        self._sizes = dict(sizes)
        self._update_total()

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        self._done[name] = done_bytes
        self._sizes[name] = total_bytes
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(f"  {name}", total=total_bytes)
        finished = total_bytes is not None and done_bytes >= total_bytes
        self._progress.update(self._tasks[name], completed=done_bytes, total=total_bytes, visible=not finished)
        self._update_total()

    def _update_total(self) -> None:
        sizes = list(self._sizes.values())
        total = None if None in sizes else sum(size or 0 for size in sizes)
        self._progress.update(self._total, completed=sum(list(self._done.values())), total=total)
