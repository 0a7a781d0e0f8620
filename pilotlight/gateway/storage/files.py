"""Files that callers upload as inputs: their bytes in a folder, their names in the database, removed after a day."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pilotlight.config.serving import GatewaySettings
from pilotlight.errors import PilotlightError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.storage.store import Store

# As on Replicate.
KEPT_S = 24 * 3600.0

_CHUNK_BYTES = 1 << 20
_LONGEST_NAME = 100
_DEFAULT = GatewaySettings()

_COLUMNS = "id, name, content_type, size_bytes, sha256, md5, metadata, created_at, expires_at, key, owner"
_INSERT = f"INSERT INTO files ({_COLUMNS}) VALUES (:{_COLUMNS.replace(', ', ', :')})"  # noqa: S608 - our own names
_SELECT = f"SELECT {_COLUMNS} FROM files"  # noqa: S608 - our own names
# A small file takes a block of the disk too, and metadata takes space in the database.
_KEPT = "SELECT total(max(size_bytes, 4096) + length(metadata)) FROM files WHERE owner IS ? AND expires_at > ?"


class QuotaError(PilotlightError):
    """A token may not keep one more upload."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One upload.

    Attributes:
        id: its id, which is also the name of its folder.
        name: the caller's name of it, without folders and without characters that a URL would have to escape.
        content_type: the caller's media type.
        size_bytes: its size.
        sha256: the digest of its content, 64 hex digits; ``md5`` has 32.
        metadata: the caller's metadata.
        created_at: seconds since 1970; ``expires_at`` too.
        key: the secret in its URL, which replaces a token.
        owner: the id of the token that uploaded it; ``None`` where none was needed.
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
    owner: str | None = None

    def url(self, base: str) -> str:
        """Return the URL of its bytes at the gateway whose address is ``base``."""
        return f"{base}/v1/files/{self.id}/{self.key}/{self.name}"


class Files:
    """Uploads in ``folder``, which is created with the first one.

    Args:
        folder: a folder that no other process writes.
        store: keeps the names and digests.
        clock: the gateway's.
        quota_bytes: what those owners may keep whose uploads are limited, each of them.
    """

    def __init__(
        self, folder: Path, store: Store, clock: Clock, *, quota_bytes: int = _DEFAULT.upload_quota_bytes
    ) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        self._quota_bytes = quota_bytes
        self._lent: dict[str, StoredFile] = {}

    async def open(self) -> None:
        """Remove expired files, and those that a gateway before this one left unfinished or lent."""
        await self.remove_expired()
        known = {stored.id for stored in await self.all()}
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder.name not in known:
                    await self._remove(folder.name)

    async def add(
        self,
        source: BinaryIO,
        name: str,
        content_type: str,
        metadata: Mapping[str, Any],
        *,
        owner: str | None = None,
        limited: bool = False,
    ) -> StoredFile:
        """Store the content of ``source`` for a day.

        Args:
            source: the content.
            name: the caller's name of it.
            content_type: the caller's media type.
            metadata: the caller's metadata.
            owner: the id of the token that uploads it, if any.
            limited: whether the quota applies to that owner.

        Raises:
            QuotaError: the owner would keep more than the quota.
            StoreError: the database cannot be written.
            OSError: the file cannot be written.
        """
        await self.remove_expired()
        stored = replace(await asyncio.to_thread(self._copy, source, name, content_type, metadata), owner=owner)
        try:
            await self._insert(stored, self._quota_bytes if limited else None)
        except PilotlightError:
            await self._remove(stored.id)
            raise
        return stored

    async def get(self, file_id: str) -> StoredFile | None:
        """Return an upload that has not expired, or a lent file; ``None`` where there is none."""
        if file_id in self._lent:
            return self._lent[file_id]
        where = "WHERE id = ? AND expires_at > ?"
        row = await self._store.run(lambda db: db.execute(f"{_SELECT} {where}", (file_id, self._clock())).fetchone())
        return None if row is None else _from_row(row)

    async def all(self, *, owner: str | None = None) -> list[StoredFile]:
        """Return the uploads that have not expired, newest first; those of one owner where one is given."""
        where = f"WHERE expires_at > ? {'' if owner is None else 'AND owner = ?'} ORDER BY created_at DESC"
        values = (self._clock(),) if owner is None else (self._clock(), owner)
        rows = await self._store.run(lambda db: db.execute(f"{_SELECT} {where}", values).fetchall())
        return [_from_row(row) for row in rows]

    async def delete(self, file_id: str) -> bool:
        """Delete an upload, and return whether there was one."""
        count = await self._store.run(lambda db: db.execute("DELETE FROM files WHERE id = ?", (file_id,)).rowcount)
        if count:
            await self._remove(file_id)
        return bool(count)

    def path(self, stored: StoredFile) -> Path:
        """Return the path of a file's bytes."""
        return self._folder / stored.id / stored.name

    async def remove_expired(self) -> None:
        """Remove uploads that have expired."""
        sql, now = "DELETE FROM files WHERE expires_at <= ? RETURNING id", self._clock()
        for row in await self._store.run(lambda db: db.execute(sql, (now,)).fetchall()):
            await self._remove(row["id"])

    def lend(self, draft: Draft) -> StoredFile:
        """Keep a file for the worker of one prediction only: it is not listed, and ``take_back`` removes it."""
        stored = draft.stored(self._clock(), {})
        self._lent[stored.id] = stored
        return stored

    async def take_back(self, stored: StoredFile) -> None:
        """Remove a lent file."""
        del self._lent[stored.id]
        await self._remove(stored.id)

    async def _insert(self, stored: StoredFile, quota_bytes: int | None) -> None:
        row = {**asdict(stored), "metadata": json.dumps(stored.metadata)}
        now = self._clock()

        def work(db: sqlite3.Connection) -> int:
            """Return what the owner would keep; an exception would undo the work of others too."""
            db.execute(_INSERT, row)
            kept_bytes = int(db.execute(_KEPT, (stored.owner, now)).fetchone()[0])
            if quota_bytes is not None and kept_bytes > quota_bytes:
                db.execute("DELETE FROM files WHERE id = ?", (stored.id,))
            return kept_bytes

        kept_bytes = await self._store.run(work)
        if quota_bytes is not None and kept_bytes > quota_bytes:
            raise QuotaError(
                f"With these {stored.size_bytes:,} bytes the uploads of this token would take {kept_bytes:,}, and each "
                f"token may keep {quota_bytes:,}: delete some, or wait; each is removed a day after it was uploaded."
            )

    def _copy(self, source: BinaryIO, name: str, content_type: str, metadata: Mapping[str, Any]) -> StoredFile:
        with self.drafting(name, content_type) as draft:
            while chunk := source.read(_CHUNK_BYTES):
                draft.write(chunk)
        return draft.stored(self._clock(), metadata)

    @contextlib.contextmanager
    def drafting(self, name: str, content_type: str) -> Iterator[Draft]:
        """Open a file to write while in this context; where the context raises, the file is removed."""
        folder = self._folder / secrets.token_hex(20)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        try:
            with (folder / safe_name(name)).open("xb") as file:
                yield Draft(folder / safe_name(name), file, content_type)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def _remove(self, file_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / file_id, ignore_errors=True)


def safe_name(name: str) -> str:
    """Return a file's name as the last part of a URL and a path, with its suffix: predictors tell the type by it."""
    last = re.split(r"[/\\]", name)[-1].strip(". ")
    stem, dot, suffix = last.rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    stem, suffix = (re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip(".-")[:_LONGEST_NAME] for part in (stem, suffix))
    return (stem or "file") + (f".{suffix}" if suffix else "")


class Draft:
    """A file that is being written."""

    def __init__(self, path: Path, file: BinaryIO, content_type: str) -> None:
        self.id = path.parent.name
        self.size_bytes = 0
        self._name = path.name
        self._file = file
        self._content_type = content_type
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self._file.write(chunk)
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self.size_bytes += len(chunk)

    def stored(self, now: float, metadata: Mapping[str, Any]) -> StoredFile:
        """Return the finished file."""
        return StoredFile(
            id=self.id,
            name=self._name,
            content_type=self._content_type,
            size_bytes=self.size_bytes,
            sha256=self._sha256.hexdigest(),
            md5=self._md5.hexdigest(),
            metadata=metadata,
            created_at=now,
            expires_at=now + KEPT_S,
            key=secrets.token_urlsafe(24),
        )


def _from_row(row: sqlite3.Row) -> StoredFile:
    return StoredFile(**{**dict(row), "metadata": json.loads(row["metadata"])})
