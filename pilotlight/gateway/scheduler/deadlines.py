"""``Cancel-After``: what takes too long from its creation on is cancelled, if need be by the next gateway."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from pilotlight.errors import StoreError
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway


def insert(db: sqlite3.Connection, prediction: str, cancel_at: float) -> None:
    """Notes a deadline, in seconds since 1970; part of somebody's transaction."""
    db.execute("INSERT INTO deadlines (prediction, cancel_at) VALUES (?, ?)", (prediction, cancel_at))


class Deadlines:
    """Cancels predictions of ``gateway``, an open one, from ``open`` to ``close``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Takes up those that a gateway before this one has left."""
        rows = await self._gateway.store.run(
            lambda db: db.execute("SELECT prediction, cancel_at FROM deadlines").fetchall()
        )
        for row in rows:
            live = self._gateway.live(row["prediction"])
            if live is None:
                await self._forget(row["prediction"])
            else:
                self.set(live, row["cancel_at"])

    async def close(self) -> None:
        """What has not ended by now is left to the next gateway."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, live: ActivePrediction, cancel_at: float) -> None:
        """Cancels ``live`` at that time, if it has not ended; ``insert`` has noted it."""
        task = asyncio.create_task(self._watch(live, cancel_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, live: ActivePrediction, cancel_at: float) -> None:
        if not await live.wait_ended(max(0.0, cancel_at - self._gateway.clock())) and not live.over:
            self._gateway.leave(live)
            await live.wait_ended()
        if live.record.status.terminal:
            await self._forget(live.id)

    async def _forget(self, prediction: str) -> None:
        # One that stays is looked at, and forgotten, when the next gateway begins.
        with contextlib.suppress(StoreError):
            await self._gateway.store.run(
                lambda db: db.execute("DELETE FROM deadlines WHERE prediction = ?", (prediction,))
            )
