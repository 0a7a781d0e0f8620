"""How the process of a gateway runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

# Hardly anything here is part of a cycle. Looking for cycles after every 700 objects, as Python does, takes a seventh
# of the processor time of a prediction; after so many it takes none that can be measured.
_GARBAGE_AFTER = (20_000, 20, 20)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, for a process that does nothing else: on a faster loop, looking for garbage less often."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
