"""The tables of the registry: models, their versions, which of them was current when, and deployments.

Format 1 of ``PRAGMA user_version``. ``releases`` is only ever added to, and so are the tables of deployments until one
is deleted. The version of a model that is current is the last one released that is still there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pilotlight.errors import StoreError

FORMAT = 1
# Others hold the database for as long as a commit takes.
_BUSY_S = 30.0

_TABLES = """
CREATE TABLE models (
    model TEXT PRIMARY KEY,
    description TEXT,
    visibility TEXT NOT NULL,
    github_url TEXT,
    paper_url TEXT,
    license_url TEXT,
    cover_image_url TEXT,
    created_at REAL NOT NULL
);
CREATE TABLE versions (
    id TEXT NOT NULL,
    model TEXT NOT NULL REFERENCES models (model),
    cog_version TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (id, model)
);
CREATE TABLE files (
    version TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    executable INTEGER NOT NULL,
    PRIMARY KEY (version, path)
) WITHOUT ROWID;
CREATE TABLE releases (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    how TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE deployments (
    deployment TEXT PRIMARY KEY
);
CREATE TABLE deployment_releases (
    deployment TEXT NOT NULL REFERENCES deployments (deployment) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    model TEXT NOT NULL,
    hardware TEXT NOT NULL,
    min_instances INTEGER NOT NULL,
    max_instances INTEGER NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (deployment, number)
);
CREATE TABLE deployment_traffic (
    deployment TEXT NOT NULL,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    weight REAL NOT NULL CHECK (weight > 0),
    PRIMARY KEY (deployment, number, version),
    FOREIGN KEY (deployment, number) REFERENCES deployment_releases (deployment, number) ON DELETE CASCADE
);
"""

# The version of every model that is current: the last one released that is still there.
CURRENT = """
    SELECT version FROM releases
    JOIN versions ON versions.id = releases.version AND versions.model = releases.model
    WHERE releases.model = models.model ORDER BY releases.number DESC LIMIT 1
"""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database in ``path``, made if it is not there; several processes may have one at a time.

    Raises:
        StoreError: it cannot be read or written, or is of a newer pilotlight.
    """
    with mapped(path), contextlib.closing(connect(path)) as database:
        yield database


def connect(path: Path) -> sqlite3.Connection:
    """As ``opened``, for as long as the caller wants; raises ``sqlite3.Error``."""
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """What SQLite can raise, in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read or written: {error}") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """As ``opened``, in one transaction, which nothing is left of when it raises."""
    with opened(path) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


class Watch:
    """Tells when anybody has changed the database, for the price of a look at one page of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: int | None = None
        with mapped(path):
            self._database = connect(path)

    def changed(self) -> bool:
        """Whether anything was committed since the last call; true the first time."""
        with mapped(self._path):
            before, self._seen = self._seen, self._database.execute("PRAGMA data_version").fetchone()[0]
        return self._seen != before

    def close(self) -> None:
        self._database.close()


def _prepare(database: sqlite3.Connection) -> None:
    if _format(database) == 0:
        database.execute("BEGIN IMMEDIATE")
        if _format(database) == 0:  # nobody else has made them meanwhile
            for statement in _TABLES.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")
    elif _format(database) > FORMAT:
        raise sqlite3.DatabaseError(
            f"it has format {_format(database)}, of a newer pilotlight; this one writes format {FORMAT}"
        )


def _format(database: sqlite3.Connection) -> int:
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    return found
