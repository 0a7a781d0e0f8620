"""``Cancel-After``: predictions that take too long from their creation on are cancelled, also by the next gateway."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from pilotlight.errors import StoreError
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway


def insert(db: sqlite3.Connection, prediction: str, cancel_at: float) -> None:
    """Store a deadline, in seconds since 1970, within the caller's transaction."""
    db.execute("INSERT INTO deadlines (prediction, cancel_at) VALUES (?, ?)", (prediction, cancel_at))


class Deadlines:
    """Cancels predictions of ``gateway``, which is open, from ``open`` to ``close``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Watch the deadlines that a gateway before this one has left in the store."""
        rows = await self._gateway.store.run(
            lambda db: db.execute("SELECT prediction, cancel_at FROM deadlines").fetchall()
        )
        for row in rows:
            active = self._gateway.active(row["prediction"])
            if active is None:
                await self._remove(row["prediction"])
            else:
                self.set(active, row["cancel_at"])

    async def close(self) -> None:
        """Stop watching; the deadlines of what has not ended are left to the next gateway."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, active: ActivePrediction, cancel_at: float) -> None:
        """Cancel a prediction at that time, unless it has ended; ``insert`` has stored the deadline."""
        task = asyncio.create_task(self._watch(active, cancel_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, active: ActivePrediction, cancel_at: float) -> None:
        if not await active.wait_ended(max(0.0, cancel_at - self._gateway.clock())) and not active.closed:
            self._gateway.leave(active)
            await active.wait_ended()
        if active.record.status.terminal:
            await self._remove(active.id)

    async def _remove(self, prediction: str) -> None:
        # A row that cannot be removed now is removed when the next gateway opens.
        with contextlib.suppress(StoreError):
            await self._gateway.store.run(
                lambda db: db.execute("DELETE FROM deadlines WHERE prediction = ?", (prediction,))
            )
