"""Words for messages: a long list of names in short."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["some", "tensors_of"]

SHOWN = 3


def some(names: Iterable[str]) -> str:
    """Return the first few names and how many more there are: ``a, b, c and 4 more``."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def tensors_of(names: Iterable[str]) -> str:
    """Return how many tensors these are and the first few names: ``2 tensors (a, b)``."""
    listed = list(names)
    return f"{len(listed)} tensor{'' if len(listed) == 1 else 's'} ({some(listed)})"
