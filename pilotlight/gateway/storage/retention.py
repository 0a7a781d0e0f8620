"""What is kept of predictions that have ended, and for how long.

Their inputs, outputs and logs go after a while, as on Replicate, and ``data_removed`` says so; when the database is
larger than it may be, the oldest go before their time, and at last the predictions themselves. What a webhook is still
owed stays. Space that is freed is written over and used again: the file does not shrink.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.errors import StoreError, UsageError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.storage.store import Store

_LOG = logging.getLogger(__name__)

# So many at a time: it bounds how long an accepted prediction waits for the database meanwhile.
_STRIPPED_TOGETHER = 100
_DELETED_TOGETHER = 1000
_LONGEST_PERIOD_S = 60.0
_SHORTEST_PERIOD_S = 1.0

_NOT_OWED = "NOT EXISTS (SELECT 1 FROM hooks WHERE prediction = predictions.id)"
_STRIP = f"""
UPDATE predictions SET input = 'null', output = 'null', logs = '' WHERE number IN (
    SELECT number FROM predictions WHERE completed_at <= ? AND input != 'null' AND {_NOT_OWED}
    ORDER BY completed_at LIMIT {_STRIPPED_TOGETHER}
)
"""  # noqa: S608 - our own words
_DELETE = f"""
DELETE FROM predictions WHERE number IN (
    SELECT number FROM predictions WHERE completed_at IS NOT NULL AND {_NOT_OWED}
    ORDER BY number LIMIT {_DELETED_TOGETHER}
)
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How much is kept.

    Attributes:
        data_s: for how long after the end of a prediction its input, output and logs are.
        size_bytes: what the database may hold in all.

    Raises:
        UsageError: one of them is not above zero.
    """

    data_s: float = 7 * 86400.0
    size_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        if self.data_s <= 0 or self.size_bytes <= 0:
            raise UsageError("nothing would be kept for anyone to read; give a time and a size above zero")


class Retention:
    """Removes what is not to be kept, from ``open`` to ``close``."""

    def __init__(self, store: Store, files: Files, keep: RetentionPolicy, clock: Clock) -> None:
        self._store = store
        self._files = files
        self._keep = keep
        self._clock = clock
        self._closing = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begins."""
        self._owner = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        """Ends, after what it is at."""
        self._closing.set()
        if self._owner is not None:
            await self._owner

    async def sweep(self) -> None:
        """Removes what is due now.

        Raises:
            StoreError: it cannot be removed.
        """
        await self._files.remove_expired()
        latest = self._clock() - self._keep.data_s
        await self._until_done(lambda db: _strip(db, latest))
        await self._until_done(lambda db: _shrink(db, self._keep.size_bytes))

    async def _until_done(self, some: Callable[[sqlite3.Connection], int]) -> None:
        """Does some of it after the other; between them others have the database."""
        while not self._closing.is_set() and await self._store.run(some) > 0:
            pass

    async def _go_on(self) -> None:
        period_s = min(max(self._keep.data_s / 10, _SHORTEST_PERIOD_S), _LONGEST_PERIOD_S)
        while not self._closing.is_set():
            try:
                await self.sweep()
            except StoreError as error:
                _LOG.error("what is not to be kept could not be removed: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await self._closing.wait()


def used_bytes(db: sqlite3.Connection) -> int:
    """What the database holds; its file has free pages beside that."""
    page_count, free, page_bytes = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (page_count - free) * page_bytes


def _strip(db: sqlite3.Connection, latest: float) -> int:
    db.execute("PRAGMA secure_delete = ON")
    return db.execute(_STRIP, (latest,)).rowcount


def _shrink(db: sqlite3.Connection, size_bytes: int) -> int:
    """Removes some of the oldest where there is too much; 0 when there is not, or nothing can be."""
    if used_bytes(db) <= size_bytes:
        return 0
    return _strip(db, float("inf")) or db.execute(_DELETE).rowcount
