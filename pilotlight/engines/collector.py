"""Pauses Python's garbage collector while a process starts."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["paused_collector"]


@contextmanager
def paused_collector() -> Generator[None]:
    """Collect no garbage in the block, and leave the objects that exist at its end out of later collections.

    Imports create hundreds of thousands of permanent objects, which each collection would traverse again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
