"""Who is told what a fetch or a verification is doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Watcher(Protocol):
    """Told what happens, from whatever thread it happens in; must return quickly."""

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        """These files, of these sizes, where known, are to be worked on."""

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        """So much of one file is done; may go back when it has to start again."""

    def note(self, text: str) -> None:
        """Something that a person wants to know, such as a retry."""


class Silent:
    """A watcher that tells nobody."""

    def planned(self, sizes: Mapping[str, int | None]) -> None:
        pass

    def advanced(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass
