"""The database."""

import asyncio
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from pilotlight.errors import StoreError
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.storage.store import Store
from pilotlight.types import Prediction, Status
from tests.gateway.made import made_record, run


def ended(record, output):
    return lifecycle.finish(
        lifecycle.begin(record, 101.0), Prediction(record.id, Status.SUCCEEDED, output=output), 102.0
    )


def with_store(path, scenario, **options):
    async def whole():
        async with Store(path / "s.sqlite3", **options) as store:
            return await scenario(store)

    return run(whole())


def test_a_record_comes_back_as_it_was_also_to_the_next_process(tmp_path):
    record = made_record(input={"text": "zwölf\u2028", "list": [1, None, 2.5]}, deployment="local/d")
    done = ended(record, {"deep": [1, {"x": None}]})

    async def write(store):
        await store.add(record)
        assert await store.get("a") == record
        await store.save(done)
        assert await store.get("none") is None

    async def read(store):
        assert await store.get("a") == done
        assert await store.unfinished() == []

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_what_has_ended_stays_as_it_was(tmp_path):
    async def scenario(store):
        record = made_record()
        await store.add(record)
        await store.save(ended(record, ["first"]))
        await store.save(lifecycle.fail(record, "second", 103.0))
        assert (await store.get("a")).output == ["first"]

    with_store(tmp_path, scenario)


def test_unfinished_ones_come_in_the_order_of_their_arrival(tmp_path):
    async def scenario(store):
        for name in "cab":
            await store.add(made_record(name))
        await store.save(lifecycle.begin(made_record("b"), 101.0))
        await store.save(lifecycle.cancel(made_record("a"), 101.0))
        assert [(one.id, one.status) for one in await store.unfinished()] == [
            ("c", Status.STARTING),
            ("b", Status.PROCESSING),
        ]

    with_store(tmp_path, scenario)


def test_pages_lead_through_everything_in_both_directions(tmp_path):
    async def scenario(store):
        await asyncio.gather(*(store.add(made_record(f"p{n}")) for n in range(7)))
        every = [one.id for one in reversed(await store.unfinished())]
        page = await store.page(3)
        pages = [page]
        while page.older:
            page = await store.page(3, before=page.records[-1][0])
            pages.append(page)
        assert [[r.id for _, r in one.records] for one in pages] == [every[:3], every[3:6], every[6:]]
        assert [one.newer for one in pages] == [False, True, True]
        back = await store.page(3, after=page.records[0][0])
        assert back == pages[1]
        first = await store.page(3, after=back.records[0][0])
        assert (first.records, first.newer, first.older) == (pages[0].records, False, True)
        assert await store.count("local/model1") == 7

    with_store(tmp_path, scenario)


def test_pages_of_one_owner_hold_nothing_of_others(tmp_path):
    async def scenario(store):
        for n in range(9):
            await store.add(made_record(f"p{n}", owner=(None, "a", "b")[n % 3]))
        newest = await store.page(2, owner="a")
        assert ([one.id for _, one in newest.records], newest.newer, newest.older) == (["p7", "p4"], False, True)
        oldest = await store.page(2, before=newest.records[-1][0], owner="a")
        assert ([one.id for _, one in oldest.records], oldest.newer, oldest.older) == (["p1"], True, False)
        assert await store.page(2, after=oldest.records[0][0], owner="a") == newest
        assert {one.owner for _, one in newest.records} == {"a"}
        assert len((await store.page(99)).records) == 9

    with_store(tmp_path, scenario)


def test_an_empty_store_has_an_empty_page(tmp_path):
    async def scenario(store):
        page = await store.page(3)
        assert (page.records, page.newer, page.older) == ((), False, False)

    with_store(tmp_path, scenario)


def test_a_version_was_first_seen_once(tmp_path):
    async def scenario(store):
        return [await store.first_seen("v", "m", 5.0), await store.first_seen("v", "m", 9.0)]

    assert with_store(tmp_path, scenario) == [5.0, 5.0]


def test_many_at_once_are_all_kept(tmp_path):
    async def scenario(store):
        await asyncio.gather(*(store.add(made_record(f"p{n}")) for n in range(600)))
        return len(await store.unfinished())

    assert with_store(tmp_path, scenario) == 600


def test_what_was_added_survives_kill_9(tmp_path):
    code = textwrap.dedent(f"""
        import asyncio, os, pathlib, signal
        from pilotlight.gateway.storage.store import Store
        from tests.gateway.made import made_record

        async def main():
            async with Store(pathlib.Path({str(tmp_path)!r}) / "s.sqlite3") as store:
                await store.add(made_record("kept"))
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9

    async def scenario(store):
        return [one.id for one in await store.unfinished()]

    assert with_store(tmp_path, scenario) == ["kept"]


def test_a_caller_who_stops_waiting_does_not_stop_the_work(tmp_path):
    async def scenario(store):
        task = asyncio.create_task(store.add(made_record()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert (await store.get("a")).id == "a"

    with_store(tmp_path, scenario)


def test_one_that_is_there_already_is_an_error_and_the_store_goes_on(tmp_path):
    async def scenario(store):
        await store.add(made_record())
        with pytest.raises(StoreError, match="UNIQUE"):
            await store.add(made_record())
        await store.add(made_record("b"))
        return len(await store.unfinished())

    assert with_store(tmp_path, scenario) == 2


@pytest.mark.parametrize("newer", [False, True])
def test_a_file_that_is_none_of_ours_is_refused(tmp_path, newer):
    path = tmp_path / "s.sqlite3"
    if newer:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        path.write_text("this is no database, though it is long enough to be taken for one at first sight")

    async def scenario(store):
        raise AssertionError

    with pytest.raises(StoreError, match="newer pilotlight" if newer else "not a database"):
        with_store(tmp_path, scenario)
