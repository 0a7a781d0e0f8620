"""Numbered migrations of a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from pilotlight.util.migrations import Migration, format_of, migrate

FIRST = Migration(1, "fruit", ("CREATE TABLE fruit (name TEXT)", "INSERT INTO fruit VALUES ('apple')"))
SECOND = Migration(2, "colours", ("ALTER TABLE fruit ADD COLUMN colour TEXT",))
FAULTY = Migration(2, "half of it", ("ALTER TABLE fruit ADD COLUMN colour TEXT", "UPDATE missing SET a = 1"))


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def apply(db: sqlite3.Connection, *migrations: Migration) -> None:
    """Migrate as a caller does: in a transaction, rolled back where it fails."""
    db.execute("BEGIN")
    try:
        migrate(db, migrations)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def dump(db: sqlite3.Connection) -> list[str]:
    return [*db.iterdump(), str(format_of(db))]


def test_an_empty_database_gets_all_of_them(db: sqlite3.Connection) -> None:
    apply(db, FIRST, SECOND)
    assert format_of(db) == 2
    assert db.execute("SELECT name, colour FROM fruit").fetchall() == [("apple", None)]


def test_one_of_an_older_format_gets_the_rest_once(db: sqlite3.Connection) -> None:
    apply(db, FIRST)
    db.execute("INSERT INTO fruit VALUES ('pear')")
    apply(db, FIRST, SECOND)
    apply(db, FIRST, SECOND)
    assert db.execute("SELECT name FROM fruit").fetchall() == [("apple",), ("pear",)]


def test_one_that_fails_leaves_the_database_as_it_was(db: sqlite3.Connection) -> None:
    apply(db, FIRST)
    before = dump(db)
    with pytest.raises(sqlite3.OperationalError, match="no such table: missing"):
        apply(db, FIRST, FAULTY)
    assert dump(db) == before


def test_a_newer_format_is_refused(db: sqlite3.Connection) -> None:
    apply(db, FIRST, SECOND)
    before = dump(db)
    with pytest.raises(sqlite3.DatabaseError, match=r"format 2, written by a newer pilotlight; .* up to 1: update"):
        apply(db, FIRST)
    assert dump(db) == before


def test_rows_that_refer_to_nothing_afterwards_are_a_failure(db: sqlite3.Connection) -> None:
    lists = Migration(1, "a list", ("CREATE TABLE a (id PRIMARY KEY)", "CREATE TABLE b (a REFERENCES a (id))"))
    apply(db, lists)
    before = dump(db)
    with pytest.raises(sqlite3.IntegrityError, match="from format 1 to 2, b refers to no row"):
        apply(db, lists, Migration(2, "a row too many", ("INSERT INTO b VALUES (1)",)))
    assert dump(db) == before


def test_without_a_transaction_nothing_could_be_rolled_back(db: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="this is a bug"):
        migrate(db, [FIRST])
    assert format_of(db) == 0
