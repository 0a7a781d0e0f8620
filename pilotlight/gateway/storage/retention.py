"""Which data of ended predictions are kept, and for how long.

Inputs, outputs and logs are removed after a while, as on Replicate, and ``data_removed`` says so. When the database is
larger than its limit, the oldest are removed before their time, and then the predictions themselves. Predictions whose
webhook has not been delivered keep their data. Freed space is overwritten and used again: the file does not shrink.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.config.serving import GatewaySettings
from pilotlight.errors import StoreError, UsageError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.storage.store import Store

_LOG = logging.getLogger(__name__)
_DEFAULT = GatewaySettings()

# How many rows one transaction changes: it bounds how long an accepted prediction waits for the database meanwhile.
_STRIPPED_TOGETHER = 100
_DELETED_TOGETHER = 1000
_LONGEST_PERIOD_S = 60.0
_SHORTEST_PERIOD_S = 1.0

_NO_WEBHOOK = "NOT EXISTS (SELECT 1 FROM hooks WHERE prediction = predictions.id)"
_STRIP = f"""
UPDATE predictions SET input = 'null', output = 'null', logs = '' WHERE number IN (
    SELECT number FROM predictions WHERE completed_at <= ? AND input != 'null' AND {_NO_WEBHOOK}
    ORDER BY completed_at LIMIT {_STRIPPED_TOGETHER}
)
"""  # noqa: S608 - our own words
_DELETE = f"""
DELETE FROM predictions WHERE number IN (
    SELECT number FROM predictions WHERE completed_at IS NOT NULL AND {_NO_WEBHOOK}
    ORDER BY number LIMIT {_DELETED_TOGETHER}
)
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long data are kept, and how large the database may be.

    Attributes:
        data_s: how long inputs, outputs and logs are kept after the end of a prediction.
        size_bytes: the size limit of the database.

    Raises:
        UsageError: one of them is not above zero.
    """

    data_s: float = _DEFAULT.keep_s
    size_bytes: int = _DEFAULT.keep_bytes

    def __post_init__(self) -> None:
        if self.data_s <= 0 or self.size_bytes <= 0:
            raise UsageError(
                f"a retention of {self.data_s:g} s and {self.size_bytes} bytes keeps nothing: give a time and a size "
                "above zero"
            )


class Retention:
    """Applies a retention policy to a store and its files, from ``open`` to ``close``.

    Args:
        store: the predictions.
        files: the uploads, of which expired ones are removed.
        policy: how long and how much is kept.
        clock: the gateway's.
    """

    def __init__(self, store: Store, files: Files, policy: RetentionPolicy, clock: Clock) -> None:
        self._store = store
        self._files = files
        self._policy = policy
        self._clock = clock
        self._closing = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start sweeping in the background."""
        self._owner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, after the current transaction."""
        self._closing.set()
        if self._owner is not None:
            await self._owner

    async def sweep(self) -> None:
        """Remove everything that is due now.

        Raises:
            StoreError: the database cannot be written.
        """
        await self._files.remove_expired()
        latest = self._clock() - self._policy.data_s
        await self._until_done(lambda db: _strip(db, latest))
        await self._until_done(lambda db: _shrink(db, self._policy.size_bytes))

    async def _until_done(self, some: Callable[[sqlite3.Connection], int]) -> None:
        """Call ``some`` in transactions of its own until it removes nothing; other work gets its turn in between."""
        while not self._closing.is_set() and await self._store.run(some) > 0:
            pass

    async def _run(self) -> None:
        period_s = min(max(self._policy.data_s / 10, _SHORTEST_PERIOD_S), _LONGEST_PERIOD_S)
        while not self._closing.is_set():
            try:
                await self.sweep()
            except StoreError as error:
                _LOG.error("data that have expired could not be removed: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await self._closing.wait()


def used_bytes(db: sqlite3.Connection) -> int:
    """Return the bytes that the database uses; its file has free pages besides."""
    page_count, free, page_bytes = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (page_count - free) * page_bytes


def _strip(db: sqlite3.Connection, latest: float) -> int:
    db.execute("PRAGMA secure_delete = ON")
    return db.execute(_STRIP, (latest,)).rowcount


def _shrink(db: sqlite3.Connection, size_bytes: int) -> int:
    """Remove some of the oldest data; return 0 where the database is within its limit, or nothing can be removed."""
    if used_bytes(db) <= size_bytes:
        return 0
    return _strip(db, float("inf")) or db.execute(_DELETE).rowcount
