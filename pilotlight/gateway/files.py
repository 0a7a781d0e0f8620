"""Files that callers upload to use as inputs: bytes in a folder, the rest in the database, all gone after a day."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pilotlight.gateway.clock import Clock
from pilotlight.gateway.store import Store

# As long as Replicate keeps them.
KEPT_S = 24 * 3600.0

_CHUNK_BYTES = 1 << 20
_LONGEST_NAME = 100

_COLUMNS = "id, name, content_type, size_bytes, sha256, md5, metadata, created_at, expires_at, key"
_INSERT = f"INSERT INTO files ({_COLUMNS}) VALUES (:{_COLUMNS.replace(', ', ', :')})"  # noqa: S608 - our own names
_SELECT = f"SELECT {_COLUMNS} FROM files"  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One upload.

    Attributes:
        id: what its folder is named by.
        name: as the caller has it, without folders and without anything that a URL would have to escape.
        content_type: as the caller says.
        size_bytes: its size.
        sha256: of its content, as 64 hex digits; ``md5`` as 32.
        metadata: as the caller says.
        created_at: seconds since 1970; ``expires_at`` too.
        key: what its URL holds instead of a token.
    """

    id: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    md5: str
    metadata: Mapping[str, Any]
    created_at: float
    expires_at: float
    key: str


class Files:
    """Uploads in ``folder``, which is made with the first.

    Args:
        folder: nobody else writes there.
        store: where the names and hashes are kept.
        clock: the gateway's.
    """

    def __init__(self, folder: Path, store: Store, clock: Clock) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock

    async def open(self) -> None:
        """Removes what has expired, and uploads that a gateway before this one did not live to finish."""
        await self._remove_expired()
        known = {stored.id for stored in await self.all()}
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder.name not in known:
                    await self._remove(folder.name)

    async def add(self, source: BinaryIO, name: str, content_type: str, metadata: Mapping[str, Any]) -> StoredFile:
        """Keeps what ``source`` holds, for a day.

        Raises:
            StoreError: it cannot be stored.
            OSError: it cannot be written.
        """
        await self._remove_expired()
        file_id = secrets.token_hex(20)
        safe = safe_name(name)
        size_bytes, sha256, md5 = await asyncio.to_thread(_copy, source, self._folder / file_id / safe)
        now = self._clock()
        key = secrets.token_urlsafe(24)
        stored = StoredFile(file_id, safe, content_type, size_bytes, sha256, md5, metadata, now, now + KEPT_S, key)
        row = {**asdict(stored), "metadata": json.dumps(metadata)}
        await self._store.run(lambda db: db.execute(_INSERT, row))
        return stored

    async def get(self, file_id: str) -> StoredFile | None:
        """An upload that has not expired."""
        where = "WHERE id = ? AND expires_at > ?"
        row = await self._store.run(lambda db: db.execute(f"{_SELECT} {where}", (file_id, self._clock())).fetchone())
        return None if row is None else _from_row(row)

    async def all(self) -> list[StoredFile]:
        """All that have not expired, newest first."""
        where = "WHERE expires_at > ? ORDER BY created_at DESC"
        rows = await self._store.run(lambda db: db.execute(f"{_SELECT} {where}", (self._clock(),)).fetchall())
        return [_from_row(row) for row in rows]

    async def delete(self, file_id: str) -> bool:
        """Whether there was one to delete."""
        count = await self._store.run(lambda db: db.execute("DELETE FROM files WHERE id = ?", (file_id,)).rowcount)
        if count:
            await self._remove(file_id)
        return bool(count)

    def path(self, stored: StoredFile) -> Path:
        """Where its bytes are."""
        return self._folder / stored.id / stored.name

    async def _remove_expired(self) -> None:
        sql, now = "DELETE FROM files WHERE expires_at <= ? RETURNING id", self._clock()
        for row in await self._store.run(lambda db: db.execute(sql, (now,)).fetchall()):
            await self._remove(row["id"])

    async def _remove(self, file_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / file_id, ignore_errors=True)


def safe_name(name: str) -> str:
    """A file's name as the last part of a URL and of a path, with its suffix, which tells predictors what it is."""
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-").rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    return f"{stem[:_LONGEST_NAME]}{dot}{suffix[:_LONGEST_NAME]}" or "file"


def _copy(source: BinaryIO, target: Path) -> tuple[int, str, str]:
    """Size, sha256 and md5 of what was written; nothing stays when it fails."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size_bytes = 0
    target.parent.mkdir(mode=0o700, parents=True)
    try:
        with target.open("xb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                file.write(chunk)
                sha256.update(chunk)
                md5.update(chunk)
                size_bytes += len(chunk)
    except BaseException:
        shutil.rmtree(target.parent, ignore_errors=True)
        raise
    return size_bytes, sha256.hexdigest(), md5.hexdigest()


def _from_row(row: sqlite3.Row) -> StoredFile:
    return StoredFile(**{**dict(row), "metadata": json.loads(row["metadata"])})
