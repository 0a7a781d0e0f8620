"""The registry of what was pushed: models, their versions, and which version of a model was current when.

It is one SQLite database and two folders of files, which several processes may use at a time; a gateway need not run. A
version is added to the database last, when all its files are on the disk. The history of current versions is only added
to: a rollback releases an older version once more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.gateway.registry.blobs import Blobs
from pilotlight.gateway.registry.names import ConflictError, MissingError, matching, previous
from pilotlight.gateway.registry.snapshot import Snapshot
from pilotlight.gateway.registry.tables import CURRENT, Watch, opened, writing

_DATABASE, _LOCK, _BLOBS, _VERSIONS = "registry.sqlite3", "registry.lock", "blobs", "versions"

# The fields of a model that can be changed.
_CHANGEABLE = {"description", "readme", "github_url", "paper_url", "weights_url", "license_url"}

_MODELS = f"SELECT *, ({CURRENT}) AS current FROM models"  # noqa: S608 - our own words
_VERSIONS_OF = "SELECT id, model, cog_version, created_at FROM versions"
_RELEASES_OF = "SELECT number, version, how, created_at FROM releases WHERE model = ? ORDER BY number"


@dataclass(frozen=True, slots=True)
class Model:
    """A model: a series of versions.

    Attributes:
        model: ``owner/name``.
        created_at: seconds since 1970, as all times here.
        current: the id of the version that answers when none is asked for; ``None`` before the first push.
    """

    model: str
    created_at: float
    current: str | None = None
    description: str | None = None
    visibility: str = "private"
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    cover_image_url: str | None = None
    readme: str | None = None
    weights_url: str | None = None


@dataclass(frozen=True, slots=True)
class PushedVersion:
    """A version of a model; ``created_at`` is when it was first pushed to it."""

    id: str
    model: str
    cog_version: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Release:
    """One event of a version becoming current; ``how`` is ``push`` or ``rollback``."""

    number: int
    version: str
    how: str
    created_at: float


class Registry:
    """The registry in ``root``, an existing folder.

    Raises:
        StoreError: from every method: the registry cannot be read or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / _DATABASE
        self.blobs = Blobs(root / _BLOBS)
        self.folders = root / _VERSIONS

    def folder(self, version: str) -> Path:
        """Return the folder with the files of a version."""
        return self.folders / version

    @contextlib.contextmanager
    def lock(self, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Lock the registry while files are added or removed; the lock ends with its process."""
        handle = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def watch(self) -> Watch:
        """Return a watch that tells whether the registry has changed."""
        return Watch(self.database)

    def models(self) -> list[Model]:
        """Return all models, by name."""
        with opened(self.database) as db:
            return [Model(**row) for row in db.execute(f"{_MODELS} ORDER BY model")]

    def model(self, model: str) -> Model:
        """Return a model.

        Raises:
            MissingError: there is none of that name.
        """
        with opened(self.database) as db:
            return _model(db, model)

    def create_model(self, new: Model) -> None:
        """Add a model without any version.

        Raises:
            ConflictError: there is one of that name.
        """
        with writing(self.database) as db:
            if not _add_model(db, new):
                raise ConflictError(f"there is a model {new.model} already; choose another name, or push to that one")

    def update_model(self, model: str, changes: Mapping[str, str | None]) -> Model:
        """Change fields of a model, and return it as it is then.

        Raises:
            MissingError: there is none of that name.
        """
        assert changes.keys() <= _CHANGEABLE, f"this is a bug: {sorted(changes)} cannot be changed"
        with writing(self.database) as db:
            _model(db, model)
            for column, value in changes.items():
                db.execute(f"UPDATE models SET {column} = ? WHERE model = ?", (value, model))  # noqa: S608 - our own names
            return _model(db, model)

    def delete_model(self, model: str) -> None:
        """Remove a model whose versions have been deleted.

        Raises:
            MissingError: there is none of that name.
            ConflictError: it has versions.
        """
        with writing(self.database) as db:
            _model(db, model)
            if db.execute("SELECT 1 FROM versions WHERE model = ?", (model,)).fetchone():
                raise ConflictError(f"{model} has versions; delete them first")
            db.execute("DELETE FROM models WHERE model = ?", (model,))

    def versions(self, model: str | None = None) -> list[PushedVersion]:
        """Return the versions of a model, or all, newest first."""
        where, values = ("", ()) if model is None else ("WHERE model = ?", (model,))
        with opened(self.database) as db:
            found = db.execute(f"{_VERSIONS_OF} {where} ORDER BY created_at DESC, id", values)
            return [PushedVersion(**row) for row in found]

    def find(self, model: str, beginning: str) -> str:
        """Return the id of the version of a model that begins with ``beginning``.

        Raises:
            MissingError: there is no such model or version.
            UsageError: several begin so.
        """
        self.model(model)
        return matching([one.id for one in self.versions(model)], beginning, model)

    def document(self, model: str, version: str) -> Mapping[str, Any]:
        """Return the OpenAPI document of a version.

        Raises:
            MissingError: there is none.
        """
        with opened(self.database) as db:
            return _document(db, model, version)

    def history(self, model: str) -> list[Release]:
        """Return which versions were current, oldest first, deleted ones included."""
        with opened(self.database) as db:
            return [Release(**row) for row in db.execute(_RELEASES_OF, (model,))]

    def add_version(
        self, model: str, snapshot: Snapshot, *, document: Mapping[str, Any], cog_version: str, now: float
    ) -> bool:
        """Add a version whose folder exists, and its model if needed, and make it current; return whether it is new."""
        values = (snapshot.id, model, cog_version, json.dumps(document, separators=(",", ":")), now)
        files = [(snapshot.id, one.path, one.sha256, one.size_bytes, one.executable) for one in snapshot.files]
        with writing(self.database) as db:
            _add_model(db, Model(model, now))
            new = db.execute("INSERT OR IGNORE INTO versions VALUES (?, ?, ?, ?, ?)", values).rowcount == 1
            db.executemany("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?)", files)
            if _model(db, model).current != snapshot.id:
                _release(db, model, snapshot.id, "push", now)
        return new

    def roll_back(self, model: str, wanted: str | None, *, now: float) -> tuple[str, str]:
        """Make an earlier version current; return the ids of the one that was current and of the one that is.

        Args:
            model: ``owner/name``.
            wanted: the id of a version of it, or how that begins; ``None`` for the one that was current before.
            now: the time.

        Raises:
            MissingError: there is no such model or version.
            ConflictError: that version is current, or no other ever was.
        """
        with writing(self.database) as db:
            current = _model(db, model).current
            if current is None:
                raise MissingError(f"{model} has no version yet; push one")
            ids = [row["id"] for row in db.execute("SELECT id FROM versions WHERE model = ?", (model,))]
            history = [row["version"] for row in db.execute(_RELEASES_OF, (model,))]
            target = previous(history, current, ids) if wanted is None else matching(ids, wanted, model)
            if target is None:
                raise ConflictError(
                    f"there is none to go back to: no other version of {model} that is still here was ever current"
                )
            if target == current:
                raise ConflictError(f"{current[:12]} is the current version of {model} already")
            _release(db, model, target, "rollback", now)
        return current, target

    def delete_version(self, model: str, version: str) -> None:
        """Remove a version from its model; ``gc`` removes its files. Was it current, the one before it becomes so.

        Raises:
            MissingError: there is none.
            ConflictError: a deployment serves it.
        """
        used = """
            SELECT deployment FROM deployment_releases AS latest NATURAL JOIN deployment_traffic
            WHERE version = ? AND model = ?
            AND number = (SELECT max(number) FROM deployment_releases WHERE deployment = latest.deployment)
        """
        with writing(self.database) as db:
            _document(db, model, version)
            if found := db.execute(used, (version, model)).fetchone():
                raise ConflictError(f"the deployment {found['deployment']} serves it; update or delete that first")
            db.execute("DELETE FROM versions WHERE id = ? AND model = ?", (version, model))
            db.execute("DELETE FROM files WHERE version NOT IN (SELECT id FROM versions)")

    def needed(self) -> tuple[set[str], set[str]]:
        """Return the ids of all versions, and the sha256 of all their files."""
        with opened(self.database) as db:
            ids = {row["id"] for row in db.execute("SELECT id FROM versions")}
            return ids, {row["sha256"] for row in db.execute("SELECT sha256 FROM files")}

    def size_bytes(self, version: str) -> int:
        """Return the size of all files of a version, including those that it shares with others."""
        with opened(self.database) as db:
            sql = "SELECT coalesce(sum(size_bytes), 0) FROM files WHERE version = ?"
            found: int = db.execute(sql, (version,)).fetchone()[0]
            return found


def _model(db: sqlite3.Connection, model: str) -> Model:
    row = db.execute(f"{_MODELS} WHERE model = ?", (model,)).fetchone()
    if row is None:
        raise MissingError(f"there is no model {model} here; `pilotlight push` makes one")
    return Model(**row)


def _document(db: sqlite3.Connection, model: str, version: str) -> Mapping[str, Any]:
    row = db.execute("SELECT document FROM versions WHERE id = ? AND model = ?", (version, model)).fetchone()
    if row is None:
        raise MissingError(f"{model} has no version {version[:80]!r}")
    found: Mapping[str, Any] = json.loads(row["document"])
    return found


def _add_model(db: sqlite3.Connection, new: Model) -> bool:
    columns = "model, description, visibility, github_url, paper_url, license_url, cover_image_url, created_at"
    values = [getattr(new, column) for column in columns.split(", ")]
    sql = f"INSERT OR IGNORE INTO models ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
    return db.execute(sql, values).rowcount == 1


def _release(db: sqlite3.Connection, model: str, version: str, how: str, now: float) -> None:
    sql = "INSERT INTO releases (model, version, how, created_at) VALUES (?, ?, ?, ?)"
    db.execute(sql, (model, version, how, now))
