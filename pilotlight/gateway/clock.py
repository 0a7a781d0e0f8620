"""The gateway's clock: seconds since 1970 that never go back."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady_clock() -> Clock:
    """Return a clock that starts with the system's time, and goes on evenly when the system's time is set."""
    epoch_s = time.time() - time.monotonic()
    return lambda: epoch_s + time.monotonic()
