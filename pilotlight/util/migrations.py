"""Schema migrations of databases: numbered changes, and the number of the last one in ``PRAGMA user_version``.

A database of format N has had the migrations 1 to N. New migrations are appended to the list; existing ones never
change, because databases exist to which they were applied.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of a database's schema.

    Attributes:
        number: the format of the database afterwards.
        about: what changes, in a few words.
        statements: SQL statements, each of which SQLite can roll back.
    """

    number: int
    about: str
    statements: tuple[str, ...]


def migrate(db: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply the migrations that a database has not had, in order.

    Call it inside a transaction, so that rolling back after a failure leaves the database unchanged. Foreign keys must
    not be enforced meanwhile (``PRAGMA foreign_keys = OFF``, SQLite's default); they are checked at the end.

    Args:
        db: a connection in a transaction.
        migrations: all migrations, numbered from 1.

    Raises:
        sqlite3.Error: a migration failed, or the database's format is newer than the last migration.
    """
    if not db.in_transaction:
        raise ValueError("migrate() was called outside a transaction; this is a bug")
    found, newest = format_of(db), len(migrations)
    if found > newest:
        raise sqlite3.DatabaseError(
            f"it has format {found}, written by a newer pilotlight; this one knows formats up to {newest}: "
            "update pilotlight"
        )
    for migration in migrations[found:]:
        for statement in migration.statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {migration.number}")
    broken = db.execute("PRAGMA foreign_key_check").fetchone() if found < newest else None
    if broken is not None:
        raise sqlite3.IntegrityError(f"after migrating from format {found} to {newest}, {broken[0]} refers to no row")


def format_of(db: sqlite3.Connection) -> int:
    """Return the format of a database: the number of its last migration, 0 for an empty one."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    return found
