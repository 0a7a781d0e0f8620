"""Watch the event loop on which Cog runs async predictions and record how long it is blocked.

``doctor/observe/watch.py`` puts this folder on the worker's ``PYTHONPATH`` and reads the records: one file for each
process, named by its id, with one line for each time that the loop was blocked for 50 ms or more: begin and end in
nanoseconds of the monotonic clock, separated by a tab. A callback on the loop runs every 10 ms, which costs 0.1 %.
"""

import asyncio.base_events
import importlib
import os
import sys
import time
from collections.abc import Callable

_FOLDER = os.environ.get("PILOTLIGHT_LOOP", "")
_EVERY_S = 0.01
_LATE_NS = 50_000_000

Loop = asyncio.base_events.BaseEventLoop


class _Watch:
    """Schedules a callback on one loop again and again while the loop runs."""

    def __init__(self, loop: Loop, file: int) -> None:
        self._loop = loop
        self._file = file
        self._last_ns = time.monotonic_ns()
        self._next = loop.call_soon(self._beat)

    def _beat(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._last_ns > _LATE_NS:
            os.write(self._file, f"{self._last_ns}\t{now_ns}\n".encode())
        self._last_ns = now_ns
        self._next = self._loop.call_later(_EVERY_S, self._beat)

    def end(self) -> None:
        self._next.cancel()


def _watched(run_forever: Callable[[Loop], None]) -> Callable[[Loop], None]:
    """Return ``run_forever`` that watches the first loop of this process: Cog's, which exists before ``setup()``."""
    first: list[Loop] = []

    def run(self: Loop) -> None:
        first.append(self)
        if self is not first[0]:
            return run_forever(self)
        file = os.open(f"{_FOLDER}/{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        watch = _Watch(self, file)
        try:
            return run_forever(self)
        finally:
            watch.end()
            os.close(file)

    return run


def _chain() -> None:
    """Run the ``sitecustomize`` that this one hides, if there is one."""
    here = os.path.dirname(__file__)  # noqa: PTH120 - no pathlib
    sys.path[:] = [folder for folder in sys.path if folder != here]
    del sys.modules["sitecustomize"]
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise


if _FOLDER:
    Loop.run_forever = _watched(Loop.run_forever)  # type: ignore[method-assign, assignment]  # purpose of this file
_chain()
