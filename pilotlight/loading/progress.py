"""The listener that a fetch or a verification reports its progress to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Watcher(Protocol):
    """Receives progress, from any thread; its methods must return quickly."""

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        """The files to work on, by name, with their sizes where they are known."""

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        """How many bytes of one file are done; fewer than before when it starts again."""

    def note(self, text: str) -> None:
        """A message for the user, such as about a retry."""


class Silent:
    """A watcher that ignores everything."""

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        pass

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass
