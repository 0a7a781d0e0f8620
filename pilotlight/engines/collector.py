"""Python's garbage collector, out of the way while a process starts."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["paused_collector"]


@contextmanager
def paused_collector() -> Generator[None]:
    """No collections in here, and none of what was made in here afterwards.

    Imports make hundreds of thousands of objects that stay, and the collector looks through them again and again. What
    is there at the end is set aside for good, so that later collections do not look at it either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
