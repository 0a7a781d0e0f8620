"""The tables of the registry as migrations: models, versions, which version was current when, and deployments.

Rows of ``releases`` are never changed or removed, and those of a deployment only when the deployment is deleted. The
current version of a model is the last one released that still exists.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from pilotlight.errors import StoreError
from pilotlight.util.migrations import Migration, format_of, migrate
from pilotlight.util.private import make_private_file

# Other processes hold the database for as long as a commit takes.
_BUSY_S = 30.0

MIGRATIONS = (
    Migration(
        1,
        "models, versions, releases, deployments",
        (
            """
            CREATE TABLE models (
                model TEXT PRIMARY KEY,
                description TEXT,
                visibility TEXT NOT NULL,
                github_url TEXT,
                paper_url TEXT,
                license_url TEXT,
                cover_image_url TEXT,
                created_at REAL NOT NULL
            )
            """,
            """
            CREATE TABLE versions (
                id TEXT NOT NULL,
                model TEXT NOT NULL REFERENCES models (model),
                cog_version TEXT NOT NULL,
                document TEXT NOT NULL,
                created_at REAL NOT NULL,
                PRIMARY KEY (id, model)
            )
            """,
            """
            CREATE TABLE files (
                version TEXT NOT NULL,
                path TEXT NOT NULL,
                sha256 TEXT NOT NULL,
                size_bytes INTEGER NOT NULL,
                executable INTEGER NOT NULL,
                PRIMARY KEY (version, path)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE releases (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                model TEXT NOT NULL,
                version TEXT NOT NULL,
                how TEXT NOT NULL,
                created_at REAL NOT NULL
            )
            """,
            """
            CREATE TABLE deployments (
                deployment TEXT PRIMARY KEY
            )
            """,
            """
            CREATE TABLE deployment_releases (
                deployment TEXT NOT NULL REFERENCES deployments (deployment) ON DELETE CASCADE,
                number INTEGER NOT NULL,
                model TEXT NOT NULL,
                hardware TEXT NOT NULL,
                min_instances INTEGER NOT NULL,
                max_instances INTEGER NOT NULL,
                created_at REAL NOT NULL,
                PRIMARY KEY (deployment, number)
            )
            """,
            """
            CREATE TABLE deployment_traffic (
                deployment TEXT NOT NULL,
                number INTEGER NOT NULL,
                version TEXT NOT NULL,
                weight REAL NOT NULL CHECK (weight > 0),
                PRIMARY KEY (deployment, number, version),
                FOREIGN KEY (deployment, number) REFERENCES deployment_releases (deployment, number) ON DELETE CASCADE
            )
            """,
        ),
    ),
    Migration(2, "what keeps requests on one version", ("ALTER TABLE deployment_releases ADD COLUMN sticky TEXT",)),
    Migration(
        3,
        "readme and weights_url of models",
        ("ALTER TABLE models ADD COLUMN readme TEXT", "ALTER TABLE models ADD COLUMN weights_url TEXT"),
    ),
)

# The current version of every model: the last one released that still exists.
CURRENT = """
    SELECT version FROM releases
    JOIN versions ON versions.id = releases.version AND versions.model = releases.model
    WHERE releases.model = models.model ORDER BY releases.number DESC LIMIT 1
"""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection to the database in ``path``, created where it does not exist; processes may share it.

    Raises:
        StoreError: it cannot be read or written, a migration failed, which leaves it as it was, or a newer pilotlight
            wrote it.
    """
    with mapped(path), contextlib.closing(connect(path)) as database:
        yield database


def connect(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> sqlite3.Connection:
    """Open a connection as ``opened`` does, which the caller closes.

    Raises:
        sqlite3.Error: the database cannot be read, written or migrated.
    """
    make_private_file(path)  # SQLite gives its log files the permissions of the database
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        _migrate(database, migrations)
        database.execute("PRAGMA foreign_keys = ON")  # not while tables are changed
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Raise ``StoreError`` for what SQLite raises."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read or written: {error}") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection as ``opened`` does, in one transaction, which is rolled back when the body raises."""
    with opened(path) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


class Watch:
    """Tells whether any process has changed the database, by reading one page of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: int | None = None
        with mapped(path):
            self._database = connect(path)

    def changed(self) -> bool:
        """Return whether anything was committed since the last call; true the first time."""
        with mapped(self._path):
            before, self._seen = self._seen, self._database.execute("PRAGMA data_version").fetchone()[0]
        return self._seen != before

    def close(self) -> None:
        self._database.close()


def _migrate(database: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    if format_of(database) == len(migrations):
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        migrate(database, migrations)  # nothing is left to do where another process has done it meanwhile
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
