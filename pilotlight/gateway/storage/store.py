"""Where predictions are kept: one SQLite file, written by one thread.

What callers want while the thread is busy is gathered, and committed together when it is free. A record that was
accepted is on the disk before ``add`` returns, so that it survives even a loss of power; what follows in its life is in
the file, and safe from the death of this process, and reaches the disk with the next accepted one.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pilotlight.errors import StoreError
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.storage.tables import FORMAT, INSERT, SELECT, TABLES, UPDATE, from_row, to_changes, to_row

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    """One thing to do on the thread, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    to_disk: bool
    result: Any = field(default=None)
    error: sqlite3.Error | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, newest first.

    Attributes:
        records: with their numbers, which only grow.
        newer: whether there are newer ones than these.
        older: whether there are older ones.
    """

    records: tuple[tuple[int, PredictionRecord], ...]
    newer: bool
    older: bool


class Store:
    """The database in ``path``; ``async with`` opens and closes it.

    Args:
        path: the file; made when it is not there.
        to_disk: whether an accepted record waits for the disk, as the module says. Without it, it survives the death
            of this process all the same, but a loss of power may take the last ones.

    Raises:
        StoreError: it cannot be read or written, or is of a newer pilotlight.
    """

    def __init__(self, path: Path, *, to_disk: bool = True) -> None:
        self._path = path
        self._to_disk = to_disk
        self._gathered: list[_Job] = []
        self._busy = False
        self._batches: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="gateway-store", daemon=True)

    async def __aenter__(self) -> Store:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self.run(_prepare)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def add(self, record: PredictionRecord, also: Callable[[sqlite3.Connection], object] | None = None) -> None:
        """Keeps a new one, and in the same transaction what ``also`` writes; on the disk when this returns."""
        await self.adding(record, also)

    def adding(
        self, record: PredictionRecord, also: Callable[[sqlite3.Connection], object] | None = None
    ) -> asyncio.Future[None]:
        """As ``add``, for those who have more to do when it is done than to wait for it."""
        row = to_row(record)

        def work(db: sqlite3.Connection) -> None:
            db.execute(INSERT, row)
            if also is not None:
                also(db)

        return self._soon(work, to_disk=self._to_disk)

    async def save(self, record: PredictionRecord) -> None:
        """Keeps what has become of it. A record that has ended before stays as it was."""
        changes = to_changes(record)
        await self._soon(lambda db: db.execute(UPDATE, changes))

    async def get(self, prediction_id: str) -> PredictionRecord | None:
        """The record of that id."""
        row = await self.run(lambda db: db.execute(f"{SELECT} WHERE id = ?", (prediction_id,)).fetchone())
        return None if row is None else from_row(row)

    async def unfinished(self) -> list[PredictionRecord]:
        """All that have not ended, oldest first."""
        where = "WHERE status IN ('starting', 'processing') ORDER BY number"
        return [from_row(row) for row in await self.run(lambda db: db.execute(f"{SELECT} {where}").fetchall())]

    async def page(self, limit: int, *, before: int | None = None, after: int | None = None) -> Page:
        """Up to ``limit`` records: the newest, or those next older than ``before``, or next newer than ``after``."""
        rows = await self.run(lambda db: _page(db, limit, before, after))
        return _cut(rows, limit, before, after)

    async def count(self, model: str) -> int:
        """How many predictions a model has had."""
        sql = "SELECT count(*) FROM predictions WHERE model = ?"
        counted: int = (await self.run(lambda db: db.execute(sql, (model,)).fetchone()))[0]
        return counted

    async def first_seen(self, version: str, model: str, now: float) -> float:
        """When this version of this model was first served: ``now`` if it never was."""
        insert = "INSERT OR IGNORE INTO versions (id, model, created_at) VALUES (?, ?, ?)"
        select = "SELECT created_at FROM versions WHERE id = ? AND model = ?"

        def work(db: sqlite3.Connection) -> float:
            db.execute(insert, (version, model, now))
            created_at: float = db.execute(select, (version, model)).fetchone()[0]
            return created_at

        return await self.run(work)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, called on the store's thread, in a transaction that it may share with others."""
        return await self._soon(work)

    def _soon(self, work: Callable[[sqlite3.Connection], T], *, to_disk: bool = False) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._gathered.append(_Job(work, future, to_disk))
        if not self._busy:
            # Not at once: what else this turn of the loop wants belongs to the same transaction.
            self._busy = True
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        self._batches.put(self._gathered)
        self._gathered = []

    def _done(self, jobs: list[_Job]) -> None:
        self._busy = bool(self._gathered)
        if self._busy:
            self._hand_over()
        _tell(jobs, self._path)

    async def _end(self) -> None:
        if self._gathered:
            self._hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        """The thread: does what was gathered in one transaction, and says so."""
        with contextlib.closing(_Connection(self._path)) as database:
            while (jobs := self._batches.get()) is not None:
                database.run(jobs)
                self._loop.call_soon_threadsafe(self._done, jobs)


class _Connection:
    """The connection, made on first use so that a failure reaches a caller."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._syncs = False

    def run(self, jobs: list[_Job]) -> None:
        """All of them in one transaction; a failure of one is a failure of all."""
        try:
            db = self._open()
            self._sync(db, any(job.to_disk for job in jobs))
            db.execute("BEGIN")
            try:
                for job in jobs:
                    job.result = job.work(db)
                db.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            for job in jobs:
                job.error = error

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        return self._db

    def _sync(self, db: sqlite3.Connection, wanted: bool) -> None:
        """Whether the next commit waits for the disk; it cannot be changed within a transaction."""
        if wanted is not self._syncs:
            db.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._syncs = wanted


def _tell(jobs: list[_Job], path: Path) -> None:
    for job in jobs:
        if job.future.done():
            continue  # whoever waited was cancelled; the work is done all the same
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(StoreError(f"{path} cannot be read or written: {job.error}"))


def _prepare(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise sqlite3.DatabaseError(f"it has format {found}, of a newer pilotlight; this one writes format {FORMAT}")
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {FORMAT}")


def _page(db: sqlite3.Connection, limit: int, before: int | None, after: int | None) -> list[sqlite3.Row]:
    # One more than asked for tells whether there are more.
    if after is not None:
        found = db.execute(f"{SELECT} WHERE number > ? ORDER BY number LIMIT ?", (after, limit + 1)).fetchall()
        return found[::-1]
    if before is not None:
        sql = f"{SELECT} WHERE number < ? ORDER BY number DESC LIMIT ?"
        return db.execute(sql, (before, limit + 1)).fetchall()
    return db.execute(f"{SELECT} ORDER BY number DESC LIMIT ?", (limit + 1,)).fetchall()


def _cut(rows: list[sqlite3.Row], limit: int, before: int | None, after: int | None) -> Page:
    more = len(rows) > limit
    if after is not None:
        kept, newer, older = (rows[1:] if more else rows), more, True
    else:
        kept, newer, older = rows[:limit], before is not None, more
    return Page(tuple((row["number"], from_row(row)) for row in kept), newer, older)
