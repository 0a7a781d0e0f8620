"""The gateway without HTTP, with fake workers."""

import asyncio

import pytest

from pilotlight.errors import StoreError, UsageError, WorkerBusyError
from pilotlight.gateway import ClosingError
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.scheduler.recovery import NOT_KEPT, NOT_SERVED
from pilotlight.runtime import KeeperOptions
from pilotlight.runtime.schema.validation import InvalidInputError
from pilotlight.types import Prediction, Status
from tests.gateway.made import Fakes, Limits, ended, made_record, made_version, opened, run, until


def test_a_prediction_from_its_acceptance_to_the_store(tmp_path):
    async def scenario():
        async with opened(tmp_path) as gateway:
            live = await gateway.create(gateway.versions[0], {"prompt": "a", "count": None}, deployment="local/d")
            assert (await gateway.store.get(live.id)).input == {"prompt": "a"}
            assert await live.wait_ended()
            found = await gateway.find(live.id)
            assert (found.status, found.output, found.deployment) == (Status.SUCCEEDED, ["a"], "local/d")
            assert gateway.active(live.id) is None
            assert await gateway.find("nobody") is None
            assert await gateway.cancel("nobody") is None
            assert (await gateway.cancel(live.id)) == found

    run(scenario())


def test_what_is_refused_leaves_nothing_behind(tmp_path):
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        async with opened(tmp_path, fakes=fakes, limits=Limits(max_waiting=1)) as gateway:
            version = gateway.versions[0]
            with pytest.raises(InvalidInputError):
                await gateway.create(version, {"count": 1})
            running = await gateway.create(version, {"prompt": "a"})
            await until(lambda: gateway.pool(version).gauges.running == 1)
            waiting = await gateway.create(version, {"prompt": "b"})
            with pytest.raises(WorkerBusyError):
                await gateway.create(version, {"prompt": "c"})
            await gateway.drain(0)
            with pytest.raises(ClosingError):
                await gateway.create(version, {"prompt": "d"})
            assert [one.id for one in await gateway.store.unfinished()] == [running.id, waiting.id]

    run(scenario())


def test_one_that_need_not_wait_is_stored_as_running_and_one_that_cannot_be_stored_does_not_run(tmp_path):
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        async with opened(tmp_path, fakes=fakes, limits=Limits(min_workers=1)) as gateway:
            version = gateway.versions[0]
            await until(lambda: gateway.pool(version).gauges.ready_workers == 1)
            await gateway.store.add(made_record("taken"))
            with pytest.raises(StoreError, match="UNIQUE"):
                await gateway.create(version, {"prompt": "lost"}, prediction_id="taken")
            running = await gateway.create(version, {"prompt": "a"})
            waiting = await gateway.create(version, {"prompt": "b"})
            found = [(await gateway.store.get(one.id)).status for one in (running, waiting)]
            assert found == [Status.PROCESSING, Status.STARTING]
            fakes.release()
            assert await waiting.wait_ended()
            assert [inputs["prompt"] for inputs in fakes.made[0].served] == ["a", "b"]

    run(scenario())


def test_a_caller_who_leaves_while_it_is_stored_leaves_a_whole_prediction(tmp_path):
    async def scenario():
        async with opened(tmp_path) as gateway:
            task = asyncio.create_task(gateway.create(gateway.versions[0], {"prompt": "a"}))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: ended(gateway, Status.SUCCEEDED) == 1)
            page = await gateway.page(10)
            assert [record.status for _, record in page.records] == [Status.SUCCEEDED]

    run(scenario())


def test_the_next_gateway_runs_what_waited_and_reports_what_ran(tmp_path):
    async def leave():
        fakes = Fakes()
        fakes.hold()
        async with opened(tmp_path, fakes=fakes) as gateway:
            store = gateway.store
            await store.add(made_record("waited"))
            await store.add(made_record("other", version=f"{9:064x}"))
            ran = made_record("ran")
            await store.add(ran)
            await store.save(lifecycle.begin(ran, 101.0))
            done = made_record("done")
            await store.add(done)
            await store.save(
                lifecycle.finish(lifecycle.begin(done, 101.0), Prediction("done", Status.SUCCEEDED), 102.0)
            )

    async def take_up():
        async with opened(tmp_path) as gateway:
            await gateway.active("waited").wait_ended()
            found = {name: await gateway.find(name) for name in ("waited", "other", "ran", "done")}
            assert {name: str(record.status) for name, record in found.items()} == {
                "waited": "succeeded",
                "other": "failed",
                "ran": "failed",
                "done": "succeeded",
            }
            assert found["other"].error == NOT_SERVED
            assert found["ran"].error == lifecycle.INTERRUPTED
            assert found["waited"].created_at == 100.0
            assert await gateway.store.unfinished() == []

    run(leave())
    run(take_up())


def test_a_secret_reaches_the_worker_and_nobody_else(tmp_path):
    async def scenario():
        fakes = Fakes(answer=lambda inputs: ["done"])
        fakes.hold()
        async with opened(tmp_path, fakes=fakes) as gateway:
            create = gateway.create
            ran = await create(gateway.versions[0], {"prompt": "a", "token": "sesame"})
            await until(lambda: fakes.made and fakes.made[0].served)
            assert fakes.made[0].served == [{"prompt": "a", "token": "sesame"}]
            assert ran.record.input == {"prompt": "a", "token": "**********"}
            waited = await create(gateway.versions[0], {"prompt": "b", "token": "sesame"})
        async with opened(tmp_path) as gateway:
            found = await gateway.find(waited.id)
            assert (found.status, found.error) == (Status.FAILED, NOT_KEPT)
        assert not [path for path in tmp_path.iterdir() if b"sesame" in path.read_bytes()]

    run(scenario())


def test_a_page_shows_those_that_run_as_they_are(tmp_path):
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        async with opened(tmp_path, fakes=fakes) as gateway:
            live = await gateway.create(gateway.versions[0], {"prompt": "a"})
            await until(lambda: live.record.output == ["a"])
            ((_, record),) = (await gateway.page(5)).records
            assert (record.status, record.output) == (Status.PROCESSING, ["a"])
            assert (await gateway.cancel(live.id)).status is Status.CANCELED

    run(scenario())


def test_the_answer_to_a_cancel_is_the_end_also_where_the_worker_has_to_be_killed(tmp_path):
    async def scenario():
        fakes = Fakes(heeds_cancel=False)
        fakes.hold()
        async with opened(tmp_path, fakes=fakes, keeper_options=KeeperOptions(cancel_grace_s=1.5)) as gateway:
            live = await gateway.create(gateway.versions[0], {"prompt": "a"})
            await until(lambda: live.record.output == ["a"])
            assert (await gateway.cancel(live.id)).status is Status.CANCELED
            assert (await gateway.find(live.id)).status is Status.CANCELED

    run(scenario())


def test_every_version_has_its_own_queue_and_keeps_its_first_day(tmp_path):
    async def scenario():
        versions = [made_version(1), made_version(2, folder="run_async")]
        async with opened(tmp_path, versions=versions) as gateway:
            slots = [gateway.pool(version).limits.slots for version in gateway.versions]
            first_days = [version.created_at for version in gateway.versions]
        async with opened(tmp_path, versions=versions) as gateway:
            assert [version.created_at for version in gateway.versions] == first_days
        assert slots == [1, 4]
        assert min(first_days) > 1e9

    run(scenario())


def test_two_projects_of_one_name_are_refused(tmp_path):
    async def scenario():
        async with opened(tmp_path, versions=[made_version(1), made_version(1)]):
            raise AssertionError

    with pytest.raises(UsageError, match="would both be local/model1"):
        run(scenario())
