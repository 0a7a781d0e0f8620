"""The gateway's database of predictions: one SQLite file, written by one thread.

Work that arrives while the thread is busy is collected and committed in one transaction when the thread is free. An
accepted record is on the disk before ``add`` returns, so that it survives a loss of power; later changes of it are in
the file, survive a crash of this process, and reach the disk with the next accepted record.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pilotlight.errors import StoreError
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.storage.tables import (
    INSERT,
    MIGRATIONS,
    SELECT,
    SELECT_SHORT,
    UPDATE,
    from_row,
    to_changes,
    to_row,
)
from pilotlight.util.migrations import Migration, migrate
from pilotlight.util.private import make_private_file

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    """A function to call on the thread, and the future that gets its result."""

    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    to_disk: bool
    result: Any = field(default=None)
    error: Exception | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records, newest first.

    Attributes:
        records: each with its number; a later record has a larger one.
        newer: whether newer records exist.
        older: whether older records exist.
    """

    records: tuple[tuple[int, PredictionRecord], ...]
    newer: bool
    older: bool


class Store:
    """The database in ``path``; ``async with`` opens and closes it.

    Args:
        path: the file, created where it does not exist; one of an older format is migrated.
        to_disk: whether an accepted record waits for the disk, as the module says. Without it, records survive a crash
            of this process all the same, but a loss of power may take the last ones.
        migrations: what makes the tables; the newest format is that of the last one.

    Raises:
        StoreError: the file cannot be read or written, a migration failed, which leaves the file as it was, or a newer
            pilotlight wrote it.
    """

    def __init__(self, path: Path, *, to_disk: bool = True, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._path = path
        self._migrations = migrations
        self._to_disk = to_disk
        self._collected: list[_Job] = []
        self._busy = False
        self._batches: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="gateway-store", daemon=True)

    async def __aenter__(self) -> Store:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self.run(lambda db: migrate(db, self._migrations))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def add(self, record: PredictionRecord, also: Callable[[sqlite3.Connection], object] | None = None) -> None:
        """Store a new record, and what ``also`` writes in the same transaction; on the disk when this returns."""
        await self.adding(record, also)

    def adding(
        self, record: PredictionRecord, also: Callable[[sqlite3.Connection], object] | None = None
    ) -> asyncio.Future[None]:
        """Store a record as ``add`` does, and return a future that is done when it is stored."""
        row = to_row(record)

        def work(db: sqlite3.Connection) -> None:
            db.execute(INSERT, row)
            if also is not None:
                also(db)

        return self._enqueue(work, to_disk=self._to_disk)

    async def save(self, record: PredictionRecord) -> None:
        """Store the changes of a record. A record that has ended stays as it is."""
        changes = to_changes(record)
        await self._enqueue(lambda db: db.execute(UPDATE, changes))

    async def get(self, prediction_id: str) -> PredictionRecord | None:
        """Return the record of an id; ``None`` where there is none."""
        row = await self.run(lambda db: db.execute(f"{SELECT} WHERE id = ?", (prediction_id,)).fetchone())
        return None if row is None else from_row(row)

    async def unfinished(self) -> list[PredictionRecord]:
        """Return the records that have not ended, oldest first."""
        where = "WHERE status IN ('starting', 'processing') ORDER BY number"
        return [from_row(row) for row in await self.run(lambda db: db.execute(f"{SELECT} {where}").fetchall())]

    async def page(
        self,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        owner: str | None = None,
        created: tuple[float | None, float | None] = (None, None),
    ) -> Page:
        """Return up to ``limit`` records, without what is too long for a list.

        Args:
            limit: how many at most.
            before: the newest before this number; by default the newest of all.
            after: those that follow this number.
            owner: those of this owner only.
            created: those created from the first time on, and before the second.
        """
        conditions = {"owner = ?": owner, "created_at >= ?": created[0], "created_at < ?": created[1]}
        rows = await self.run(lambda db: _page(db, limit, before, after, conditions))
        return _cut(rows, limit, before, after)

    async def count(self, model: str) -> int:
        """Return how many predictions of a model are stored."""
        sql = "SELECT count(*) FROM predictions WHERE model = ?"
        counted: int = (await self.run(lambda db: db.execute(sql, (model,)).fetchone()))[0]
        return counted

    async def first_seen(self, version: str, model: str, now: float) -> float:
        """Return when a version of a model was first served, which is ``now`` where it never was before."""
        insert = "INSERT OR IGNORE INTO versions (id, model, created_at) VALUES (?, ?, ?)"
        select = "SELECT created_at FROM versions WHERE id = ? AND model = ?"

        def work(db: sqlite3.Connection) -> float:
            db.execute(insert, (version, model, now))
            created_at: float = db.execute(select, (version, model)).fetchone()[0]
            return created_at

        return await self.run(work)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``work`` on the store's thread and return its result; its transaction may hold other work too."""
        return await self._enqueue(work)

    def _enqueue(self, work: Callable[[sqlite3.Connection], T], *, to_disk: bool = False) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._collected.append(_Job(work, future, to_disk))
        if not self._busy:
            # In the next turn of the loop: work that this turn still adds belongs to the same transaction.
            self._busy = True
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        self._batches.put(self._collected)
        self._collected = []

    def _done(self, jobs: list[_Job]) -> None:
        self._busy = bool(self._collected)
        if self._busy:
            self._hand_over()
        _resolve(jobs, self._path)

    async def _end(self) -> None:
        if self._collected:
            self._hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        """Run on the thread: do what was collected, a transaction at a time, and report it to the loop."""
        with contextlib.closing(_Connection(self._path)) as database:
            while (jobs := self._batches.get()) is not None:
                database.run(jobs)
                self._loop.call_soon_threadsafe(self._done, jobs)


class _Connection:
    """The connection, opened on first use so that a failure reaches a caller."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._syncs = False

    def run(self, jobs: list[_Job]) -> None:
        """Run all jobs in one transaction; where one fails, all of them fail."""
        try:
            db = self._open()
            self._sync(db, any(job.to_disk for job in jobs))
            db.execute("BEGIN")
            try:
                for job in jobs:
                    job.result = job.work(db)
                db.execute("COMMIT")
            except Exception:
                with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
                    db.execute("ROLLBACK")
                raise
        except Exception as error:  # noqa: BLE001 - the thread goes on, and whoever waits gets it
            for job in jobs:
                job.error = error

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            # SQLite gives its log files the permissions of the database.
            make_private_file(self._path)
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        return self._db

    def _sync(self, db: sqlite3.Connection, wanted: bool) -> None:
        """Set whether the next commit waits for the disk, which cannot be changed within a transaction."""
        if wanted is not self._syncs:
            db.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._syncs = wanted


def _resolve(jobs: list[_Job], path: Path) -> None:
    for job in jobs:
        if job.future.done():
            continue  # whoever waited was cancelled; the work is done all the same
        if job.error is None:
            job.future.set_result(job.result)
        elif isinstance(job.error, sqlite3.Error):
            job.future.set_exception(StoreError(f"{path} cannot be read or written: {job.error}"))
        else:
            job.future.set_exception(job.error)


def _page(
    db: sqlite3.Connection, limit: int, before: int | None, after: int | None, others: Mapping[str, Any]
) -> list[sqlite3.Row]:
    given = {**others, "number > ?": after, "number < ?": before if after is None else None}
    conditions = {condition: value for condition, value in given.items() if value is not None}
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    order = "ASC" if after is not None else "DESC"
    # One more than asked for shows whether more exist.
    values = (*conditions.values(), limit + 1)
    found = db.execute(f"{SELECT_SHORT} {where}ORDER BY number {order} LIMIT ?", values).fetchall()
    return found[::-1] if after is not None else found


def _cut(rows: list[sqlite3.Row], limit: int, before: int | None, after: int | None) -> Page:
    more = len(rows) > limit
    if after is not None:
        kept, newer, older = (rows[1:] if more else rows), more, True
    else:
        kept, newer, older = rows[:limit], before is not None, more
    return Page(tuple((row["number"], from_row(row)) for row in kept), newer, older)
