"""A first-come, first-served queue in front of a server that refuses requests when it has no free slot.

Every platform that runs Cog has such a queue. It uses only the server's answers: a refused request waits until an
earlier one has been answered, then tries again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

__all__ = ["SlotQueue", "Turn"]

# coglet frees a slot just after it has sent the answer: of requests sent at once half get 409, after 10 ms none.
_SLOT_FREED_S = 0.002
_TRIES = 5
# Other callers' predictions end without notice, so the first in line also retries after this time.
_POLL_S = 0.05


@dataclass(slots=True)
class Turn:
    """A request's permission to try.

    Attributes:
        freed: whether a slot should be free for it; if not, it only tries.
        tries: how often it was refused in this turn.
    """

    freed: bool
    tries: int = 0


class SlotQueue:
    """Decides which request may try. Call ``enter`` first, ``refused`` after each refusal, and ``leave`` at the end."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._poll: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Return the number of waiting requests."""
        return len(self._waiting)

    async def enter(self) -> Turn:
        """Wait for this request's turn to try; return at once if no request waits."""
        return Turn(await self._wait(first=False) if self._waiting else True)

    async def refused(self, turn: Turn) -> None:
        """Wait for the next turn of a refused request, which stays the first in line."""
        turn.tries += 1
        if turn.freed and turn.tries < _TRIES:
            await asyncio.sleep(_SLOT_FREED_S)
        else:
            turn.freed = await self._wait(first=True)
            turn.tries = 0

    def leave(self) -> None:
        """End a request, whatever its outcome, so that the next one may try."""
        self._call(freed=True)

    def _call(self, *, freed: bool) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(freed)
                return

    async def _wait(self, *, first: bool) -> bool:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        if self._poll is None:
            self._poll = loop.call_later(_POLL_S, self._tick)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._call(freed=turn.result())  # pass the turn on to the next request
            raise

    def _tick(self) -> None:
        self._call(freed=False)
        self._poll = None
        if self._waiting:
            self._poll = asyncio.get_running_loop().call_later(_POLL_S, self._tick)
