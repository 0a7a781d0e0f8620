"""Pauses Python's garbage collector while a process starts."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["freeze_early", "paused_collector"]


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


def freeze_early() -> None:
    """Inside ``paused_collector``, leave the objects that exist now out of the collections that libraries ask for.

    transformers collects with each paged cache that it makes: a tenth of a second for the objects of the imports.
    """
    if not gc.isenabled():
        gc.freeze()
