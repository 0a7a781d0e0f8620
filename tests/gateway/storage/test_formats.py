"""Databases of every format that a gateway has ever written: ``formats/gateway-N*.sql``, dumped from databases that the
pilotlight of that time made. They hold a prediction that has ended, one that waits, one that runs, and an upload.
"""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from pilotlight.errors import StoreError
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.storage.store import Store
from pilotlight.gateway.storage.tables import MIGRATIONS
from pilotlight.gateway.webhooks.outbox import Outbox
from pilotlight.types import Status
from pilotlight.util.migrations import Migration, format_of
from tests.gateway.made import Fakes, made_record, made_version, run, served

FORMATS = Path(__file__).with_name("formats")
DUMPS = sorted(FORMATS.glob("gateway-*.sql"))
FAULTY = Migration(len(MIGRATIONS) + 1, "half of it", ("DELETE FROM predictions", "UPDATE missing SET a = 1"))

every_format = pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)


def restored(dump, path):
    """The database that a dump was made of."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text(encoding="utf-8"))
    return path


def read(path, question):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return question(db)


def content(db):
    """All that is in a database, its format included."""
    return [*db.iterdump(), format_of(db)]


def schema(db):
    """Its tables and indexes, however their SQL is laid out."""
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return {name: " ".join(sql.replace("(", " ( ").replace(")", " ) ").split()) for name, sql in rows}


def with_store(path, scenario, **options):
    async def whole():
        async with Store(path, **options) as store:
            return await scenario(store)

    return run(whole())


def test_there_is_a_dump_of_every_format_before_the_newest():
    assert {int(dump.stem.split("-")[1]) for dump in DUMPS} == set(range(1, len(MIGRATIONS)))
    assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


@every_format
def test_a_database_of_an_older_format_becomes_one_of_the_newest(tmp_path, dump):
    async def nothing(store):
        pass

    old, new = restored(dump, tmp_path / "old.sqlite3"), tmp_path / "new.sqlite3"
    with_store(old, nothing)
    with_store(new, nothing)
    assert read(old, format_of) == len(MIGRATIONS)
    assert read(old, schema) == read(new, schema)


@every_format
def test_what_it_held_is_still_there_and_what_is_new_works(tmp_path, dump):
    async def scenario(store):
        done = await store.get("done")
        assert (done.status, done.input) == (Status.SUCCEEDED, {"text": "zwölf", "list": [1, None, 2.5]})
        assert (done.output, done.logs, done.deployment, done.owner) == ({"deep": [1]}, "line\n", "local/d", None)
        assert [(one.id, one.status) for one in await store.unfinished()] == [
            ("waits", Status.STARTING),
            ("runs", Status.PROCESSING),
        ]
        assert await store.first_seen(f"{1:064x}", "local/model1", 99.0) == 50.0
        (upload,) = await Files(tmp_path / "files", store, lambda: 2000.0).all()
        assert (upload.name, upload.metadata, upload.owner) == ("hello.txt", {"a": 1}, None)
        await store.add(made_record("new", owner="a"))
        assert [record.id for _, record in (await store.page(2)).records] == ["new", "runs"]
        assert [record.id for _, record in (await store.page(2, owner="a")).records] == ["new"]
        assert (await Outbox(store).secret()).startswith("whsec_")

    with_store(restored(dump, tmp_path / "s.sqlite3"), scenario)


@every_format
def test_a_gateway_goes_on_with_it(tmp_path, dump):
    restored(dump, tmp_path / "gateway.sqlite3")

    async def scenario():
        async with served(tmp_path, versions=[made_version()], fakes=Fakes()) as client:
            live = client.gateway.active("waits")
            assert live is None or await live.wait_ended(60)
            assert (await client.gateway.find("waits")).status is Status.SUCCEEDED
            assert (await client.gateway.find("runs")).status is Status.FAILED

    run(scenario())


@pytest.mark.parametrize("name", ["gateway-1-webhooks", "gateway-2"])
def test_the_webhook_of_an_older_format_is_still_owed(tmp_path, name):
    async def scenario(store):
        (hook,) = await Outbox(store).recover(1000.0)
        assert (hook.prediction, hook.url, tuple(hook.events)) == ("waits", "https://example.com/hook", ("completed",))
        assert await store.run(lambda db: db.execute("SELECT cancel_at FROM deadlines").fetchone()[0]) == 4000.0
        assert await Outbox(store).secret() == "whsec_x"

    with_store(restored(FORMATS / f"{name}.sql", tmp_path / "s.sqlite3"), scenario)


@every_format
def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, dump):
    async def scenario(store):
        raise AssertionError

    path = restored(dump, tmp_path / "s.sqlite3")
    before = read(path, content)
    with pytest.raises(StoreError, match=r"s\.sqlite3 cannot be read or written: no such table: missing"):
        with_store(path, scenario, migrations=(*MIGRATIONS, FAULTY))
    assert read(path, content) == before


def test_a_database_of_a_newer_pilotlight_is_refused_and_stays_as_it_is(tmp_path):
    async def nothing(store):
        pass

    async def scenario(store):
        raise AssertionError

    path = tmp_path / "s.sqlite3"
    with_store(path, nothing, migrations=(*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "of tomorrow", ())))
    before = read(path, content)
    with pytest.raises(StoreError, match="written by a newer pilotlight; this one knows formats up to"):
        with_store(path, scenario)
    assert read(path, content) == before
