"""The last lines that workers and predictions have printed, in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import islice

from pilotlight.gateway.clock import Clock
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.listeners import NullListener

_KEPT_LINES = 5000
# Longer lines are cut: a predictor may print anything.
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        number: lines are counted from 0.
        at: when it was printed; seconds since 1970.
        model: the model whose worker or prediction printed it.
        prediction: the id of the prediction that printed it; ``None`` for a line of the worker itself.
        text: without the line end.
    """

    number: int
    at: float
    model: str
    prediction: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line, and the owner of the prediction that printed it."""

    line: Line
    owner: str | None

    def fits(self, model: str | None, owner: str | None) -> bool:
        return model in (None, self.line.model) and owner in (None, self.owner)


class LogBuffer(NullListener):
    """The last lines of all models.

    Args:
        clock: the gateway's.
        kept: so many; the oldest go first.
    """

    def __init__(self, clock: Clock, *, kept: int = _KEPT_LINES) -> None:
        self._clock = clock
        self._entries: deque[_Entry] = deque(maxlen=kept)
        self._count = 0
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, text: str, *, model: str, prediction: str | None = None, owner: str | None = None) -> None:
        """Add what was printed, one line or several; ``owner`` is that of the prediction."""
        for line in text.splitlines():
            cut = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
            self._entries.append(_Entry(Line(self._count, self._clock(), model, prediction, cut), owner))
            self._count += 1
        self._notify()

    def log(self, record: PredictionRecord, text: str) -> None:
        self.add(text, model=record.model, prediction=record.id, owner=record.owner)

    def close(self) -> None:
        """End everything that follows it."""
        self._closed = True
        self._notify()

    def tail(self, count: int, model: str | None = None, owner: str | None = None) -> list[Line]:
        """Return the last lines, oldest first: of one model or of all, of predictions of one owner or of everything."""
        lines = [entry.line for entry in self._entries if entry.fits(model, owner)]
        return lines[max(0, len(lines) - count) :]

    async def follow(
        self, count: int, model: str | None = None, owner: str | None = None, *, silence_s: float = 15.0
    ) -> AsyncGenerator[Line | None, None]:
        """Yield the lines of ``tail``, then every new one; ``None`` after each ``silence_s`` without one."""
        following = self._count
        for line in self.tail(count, model, owner):
            yield line
        while True:
            gone = self._count - len(self._entries)
            found = list(islice(self._entries, max(0, following - gone), None))
            following = self._count
            for entry in found:
                if entry.fits(model, owner):
                    yield entry.line
            if following < self._count:
                continue
            if self._closed:
                return
            try:
                async with asyncio.timeout(silence_s):
                    await self._changed.wait()
            except TimeoutError:
                yield None

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
