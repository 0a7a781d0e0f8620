"""A watcher that remembers what it was told."""

from __future__ import annotations

import threading
from collections.abc import Mapping


class Recorder:
    """``noted`` is set by the first note."""

    def __init__(self) -> None:
        self.sizes: dict[str, int | None] = {}
        self.done: dict[str, int] = {}
        self.notes: list[str] = []
        self.noted = threading.Event()

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        self.sizes = dict(sizes)

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        self.done[name] = done_bytes

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()
