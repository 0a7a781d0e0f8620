"""Databases of every format that a registry has ever written: ``formats/registry-N.sql``, dumped from databases that
the pilotlight of that time made. They hold two versions, a rollback and a deployment.
"""

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from pilotlight.errors import StoreError
from pilotlight.gateway.registry import tables
from pilotlight.gateway.registry.deployments import Deployments
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.tables import MIGRATIONS
from pilotlight.util.migrations import Migration, format_of
from tests.gateway.registered import MODEL, id_of, registered

DUMPS = sorted(Path(__file__).with_name("formats").glob("registry-*.sql"))
NEWEST = len(MIGRATIONS)
NEXT = Migration(NEWEST + 1, "stars", ("ALTER TABLE models ADD COLUMN stars INTEGER NOT NULL DEFAULT 0",))
FAULTY = Migration(NEWEST + 1, "half of it", ("DELETE FROM releases", "UPDATE missing SET a = 1"))

every_format = pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)


def restored(dump, root):
    """The registry that a dump was made of."""
    registry = Registry(root)
    with contextlib.closing(sqlite3.connect(registry.database)) as db:
        db.executescript(dump.read_text(encoding="utf-8"))
    return registry


def content(registry):
    """All that is in its database, the format included."""
    with contextlib.closing(sqlite3.connect(registry.database)) as db:
        return [*db.iterdump(), format_of(db)]


def test_there_is_a_dump_of_every_format():
    assert [int(dump.stem.split("-")[1]) for dump in DUMPS] == [migration.number for migration in MIGRATIONS]
    assert [migration.number for migration in MIGRATIONS] == list(range(1, NEWEST + 1))


@every_format
def test_what_a_registry_held_is_still_there(tmp_path, dump):
    registry = restored(dump, tmp_path)
    assert [one.current for one in registry.models()] == [id_of(1)]
    assert [one.id for one in registry.versions(MODEL)] == [id_of(2), id_of(1)]
    assert [one.how for one in registry.history(MODEL)] == ["push", "push", "rollback"]
    (deployment,) = Deployments(registry).all()
    assert (deployment.deployment, deployment.version) == ("local/steady", id_of(1))
    assert content(registry)[-1] == NEWEST


@every_format
def test_the_next_migration_would_apply_to_it(tmp_path, dump):
    registry = restored(dump, tmp_path)
    with contextlib.closing(tables.connect(registry.database, (*MIGRATIONS, NEXT))) as db:
        assert [tuple(row) for row in db.execute("SELECT model, stars FROM models")] == [(MODEL, 0)]
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    with pytest.raises(StoreError, match=f"format {NEWEST + 1}, written by a newer pilotlight"):
        registry.models()


@every_format
def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, dump):
    registry = restored(dump, tmp_path)
    before = content(registry)
    with pytest.raises(sqlite3.OperationalError, match="no such table: missing"):
        tables.connect(registry.database, (*MIGRATIONS, FAULTY))
    assert content(registry) == before
    assert [one.current for one in registry.models()] == [id_of(1)]


def test_processes_that_open_one_at_once_make_its_tables_once(tmp_path):
    path, together, errors = tmp_path / "registry.sqlite3", threading.Barrier(4), []

    def opening():
        together.wait(120)
        try:
            tables.connect(path).close()
        except sqlite3.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=opening) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    registered(tmp_path, 1)
    assert [one.model for one in Registry(tmp_path).models()] == [MODEL]
