"""What is kept, and for how long."""

import pytest

from pilotlight.errors import UsageError
from pilotlight.gateway import Files, RetentionPolicy, Store
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.storage.retention import Retention, used_bytes
from pilotlight.types import Prediction, Status
from tests.gateway.made import made_record, run, served, until


async def add(store, name, *, completed_at=None, output="secret output", size=0):
    record = made_record(name, input={"prompt": f"secret {name}"})
    await store.add(record)
    if completed_at is not None:
        done = Prediction(name, Status.SUCCEEDED, output=output + "x" * size, logs="secret logs")
        await store.save(lifecycle.finish(lifecycle.begin(record, 100.0), done, completed_at))


def with_retention(path, scenario, keep, now):
    async def whole():
        async with Store(path / "s.sqlite3", to_disk=False) as store:
            files = Files(path / "files", store, lambda: now)
            return await scenario(store, Retention(store, files, keep, lambda: now))

    return run(whole())


def test_data_go_after_their_time_and_what_remains_says_so(tmp_path):
    async def scenario(store, retention):
        await add(store, "old", completed_at=200.0)
        await add(store, "new", completed_at=201.0)
        await add(store, "runs")
        await retention.sweep()
        old, new, runs = [await store.get(name) for name in ("old", "new", "runs")]
        assert (old.input, old.output, old.logs, old.data_removed) == ({}, None, "", True)
        assert (old.status, old.completed_at, old.metrics["predict_s"]) == (Status.SUCCEEDED, 200.0, 100.0)
        assert (new.data_removed, new.logs, runs.input) == (False, "secret logs", {"prompt": "secret runs"})

    with_retention(tmp_path, scenario, RetentionPolicy(data_s=100.0), 300.0)


def test_what_was_removed_is_in_no_file(tmp_path):
    async def scenario(store, retention):
        for number in range(250):
            await add(store, f"p{number}", completed_at=200.0, size=3000)
        await retention.sweep()
        await store.run(lambda db: None)

    with_retention(tmp_path, scenario, RetentionPolicy(data_s=1.0), 300.0)
    assert not [path.name for path in tmp_path.iterdir() if path.is_file() and b"secret" in path.read_bytes()]


def test_what_a_webhook_is_owed_stays(tmp_path):
    async def scenario(store, retention):
        await add(store, "owed", completed_at=100.0)
        sql = "INSERT INTO hooks (prediction, url, origin, events, base, delivery) VALUES ('owed', '', '', '', '', '')"
        await store.run(lambda db: db.execute(sql))
        await retention.sweep()
        assert not (await store.get("owed")).data_removed
        await store.run(lambda db: db.execute("DELETE FROM hooks"))
        await retention.sweep()
        assert (await store.get("owed")).data_removed

    with_retention(tmp_path, scenario, RetentionPolicy(data_s=1.0), 300.0)


def test_a_database_that_is_too_large_forgets_the_oldest_first(tmp_path):
    async def scenario(store, retention):
        for number in range(300):
            await add(store, f"p{number:03}", completed_at=200.0 + number, size=10_000)
        await add(store, "runs")
        assert await store.run(used_bytes) > 2_500_000
        await retention.sweep()
        assert await store.run(used_bytes) <= 2_500_000
        removed = [(await store.get(f"p{number:03}")).data_removed for number in range(300)]
        assert removed == sorted(removed, reverse=True)
        assert (removed[0], removed[-1]) == (True, False)
        assert (await store.get("runs")).input == {"prompt": "secret runs"}

    with_retention(tmp_path, scenario, RetentionPolicy(size_bytes=2_500_000), 300.0)


def test_at_last_predictions_are_forgotten_but_none_that_runs(tmp_path):
    async def scenario(store, retention):
        for number in range(1500):
            await add(store, f"p{number}", completed_at=200.0, output="x")
        await add(store, "runs")
        await retention.sweep()
        assert (await store.get("p0"), (await store.get("runs")).id) == (None, "runs")
        assert (await store.page(10)).records[0][1].id == "runs"

    with_retention(tmp_path, scenario, RetentionPolicy(size_bytes=1), 300.0)


def test_nothing_to_keep_is_refused():
    with pytest.raises(UsageError, match="above zero"):
        RetentionPolicy(data_s=0)


def test_the_gateway_removes_by_itself(tmp_path):
    async def scenario():
        async with served(tmp_path, keep_s=0.001) as client:
            body, url = {"input": {"prompt": "a"}}, "/v1/models/local/model1/predictions"
            shown = (await client.post(url, json=body, headers={"Prefer": "wait"})).json()
            assert shown["output"] == ["a"]
            removed = []

            async def look():
                removed.append((await client.get(shown["urls"]["get"])).json())
                return removed[-1]["data_removed"]

            while not await look():
                await until(lambda: True)
            assert (removed[-1]["input"], removed[-1]["output"], removed[-1]["logs"]) == ({}, None, "")
            assert (await client.get(shown["urls"]["stream"])).status_code == 200

    run(scenario())
