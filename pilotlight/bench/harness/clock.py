"""The clock of a measuring loop: the system's, or one that a test moves."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "FakeClock", "SystemClock"]

# So often everything else may go on before a fake clock moves: more than any chain of callbacks in a loop that waits
# for nothing but this clock.
_ROUNDS = 50


class Clock(Protocol):
    """Seconds that only grow, and a way to wait for them."""

    def now(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """``time.monotonic`` and ``asyncio.sleep``."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


class FakeClock:
    """A clock for tests: when every task sleeps, it advances to the time at which the first of them wakes up."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self._now_s = now_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._moving: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + max(seconds, 0.0), next(self._numbers), future))
        if self._moving is None or self._moving.done():
            self._moving = asyncio.create_task(self._move())
        await future

    async def _move(self) -> None:
        while self._sleepers:
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
            due_s, _, future = heapq.heappop(self._sleepers)
            if not future.done():  # a sleeper may have been cancelled
                self._now_s = max(self._now_s, due_s)
                future.set_result(None)
