"""What workers and predictions have printed of late, in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import islice

from pilotlight.gateway.clock import Clock

_KEPT_LINES = 5000
# Longer ones are cut: a predictor may print anything.
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        number: they are counted from 0.
        at: when it came; seconds since 1970.
        model: whose.
        prediction: the id of the one that printed it; ``None`` for a worker's own.
        text: without its end.
    """

    number: int
    at: float
    model: str
    prediction: str | None
    text: str


class LogBuffer:
    """The last lines of all models.

    Args:
        clock: the gateway's.
        kept: so many; the oldest go first.
    """

    def __init__(self, clock: Clock, *, kept: int = _KEPT_LINES) -> None:
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=kept)
        self._count = 0
        self._changed = asyncio.Event()
        self._over = False

    def add(self, text: str, *, model: str, prediction: str | None = None) -> None:
        """Takes what was printed, one line or several."""
        for line in text.splitlines():
            cut = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
            self._lines.append(Line(self._count, self._clock(), model, prediction, cut))
            self._count += 1
        self._bump()

    def close(self) -> None:
        """Nobody need follow it any longer."""
        self._over = True
        self._bump()

    def tail(self, count: int, model: str | None = None) -> list[Line]:
        """The last lines, of one model or of all, oldest first."""
        lines = [line for line in self._lines if model in (None, line.model)]
        return lines[max(0, len(lines) - count) :]

    async def follow(
        self, count: int, model: str | None = None, *, silence_s: float = 15.0
    ) -> AsyncGenerator[Line | None, None]:
        """As ``tail``, and then every line as it comes; ``None`` after each ``silence_s``."""
        following = self._count
        for line in self.tail(count, model):
            yield line
        while True:
            gone = self._count - len(self._lines)
            found = list(islice(self._lines, max(0, following - gone), None))
            following = self._count
            for line in found:
                if model in (None, line.model):
                    yield line
            if following < self._count:
                continue
            if self._over:
                return
            try:
                async with asyncio.timeout(silence_s):
                    await self._changed.wait()
            except TimeoutError:
                yield None

    def _bump(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
