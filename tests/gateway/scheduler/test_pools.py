"""A gateway of pushed versions and deployments, with fake workers."""

from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.gc import remove_unused
from pilotlight.types import Status
from tests.gateway.made import Fakes, Limits, made_record, opened, run, until
from tests.gateway.registered import MODEL, id_of, number_of, registered


class NamedFakes(Fakes):
    """Remembers which version each worker is of."""

    def __init__(self, **options):
        super().__init__(**options)
        self.of = []

    def __call__(self, version):
        self.of.append(number_of(version.id))
        return super().__call__(version)


async def predict(gateway, version=None, **options):
    chosen = gateway.catalog.latest(MODEL) if version is None else gateway.catalog.find(version)
    return await gateway.create(chosen, {"prompt": "a"}, **options)


def deployment(number=1, **changes):
    fields = {
        "traffic": (Share(id_of(number)),),
        "hardware": "cpu",
        "min_instances": 0,
        "max_instances": 1,
        "created_at": 5.0,
    }
    return Deployment("local/d", MODEL, **{**fields, **changes})


def test_workers_are_of_the_version_that_is_asked_for_and_none_is_started_before(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        async with opened(tmp_path, versions=[], registry=registered(tmp_path, 1, 2, 3), fakes=fakes) as gateway:
            assert fakes.of == []
            for version in (None, id_of(1), None):
                await (await predict(gateway, version)).wait_ended()
            assert fakes.of == [3, 1]

    run(scenario())


def test_what_runs_ends_on_the_version_it_began_on(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        fakes.hold()
        registry = registered(tmp_path, 1)
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            running, waiting = await predict(gateway), await predict(gateway)
            await until(lambda: gateway.gauges().running == 1)
            registered(tmp_path, 2)
            after = await predict(gateway)
            fakes.release()
            for live in (running, waiting, after):
                assert await live.wait_ended()
            assert [number_of(live.record.version) for live in (running, waiting, after)] == [1, 1, 2]
            counted = gateway.metrics.of_model(MODEL)
            assert [one.ended[Status.SUCCEEDED] for one in counted] == [2, 1]
            assert gateway.gauges(MODEL).running == 0

    run(scenario())


def test_a_version_nobody_needs_lets_go_of_its_workers_and_its_files(tmp_path):
    async def scenario():
        registry = registered(tmp_path, 1, 2)
        limits = Limits(idle_timeout_s=0.01)
        async with opened(tmp_path, versions=[], registry=registry, limits=limits) as gateway:
            await (await predict(gateway, id_of(1))).wait_ended()
            registry.delete_version(MODEL, id_of(1))
            await until(lambda: gateway.reconcile() or remove_unused(registry, dry_run=True).in_use == ())
            assert remove_unused(registry).versions == (id_of(1),)
            # Nor are its figures kept.
            assert gateway.metrics.counted == []
            # What is current keeps its files even without a worker.
            await (await predict(gateway)).wait_ended()
            await until(lambda: gateway.gauges().ready_workers == 0)
            gateway.reconcile()
            assert (await (await predict(gateway)).wait_ended()) is True

    run(scenario())


def test_least_workers_are_those_of_the_current_version(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        limits = Limits(min_workers=1, idle_timeout_s=0.01)
        registry = registered(tmp_path, 1)
        async with opened(tmp_path, versions=[], registry=registry, limits=limits, fakes=fakes) as gateway:
            await until(lambda: gateway.gauges().ready_workers == 1)
            registered(tmp_path, 2)
            # Within a second, without anybody asking.
            await until(lambda: fakes.of == [1, 2] and gateway.gauges().ready_workers == 1)
            registry.roll_back(MODEL, None, now=200.0)
            gateway.reconcile()
            await until(lambda: fakes.of == [1, 2, 1] and gateway.gauges().ready_workers == 1)

    run(scenario())


def test_a_deployment_has_workers_of_its_own_within_its_own_limits(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        fakes.hold()
        registry = registered(tmp_path, 1, 2)
        deployments = Deployments(registry)
        deployments.create(deployment(max_instances=2))
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            lives = [await predict(gateway, id_of(1), deployment="local/d") for _ in range(3)]
            lives += [await predict(gateway, id_of(1)) for _ in range(2)]
            await until(lambda: gateway.gauges().running == 3)
            assert gateway.gauges().waiting == 2
            assert fakes.of == [1, 1, 1]
            deployments.delete("local/d")
            gateway.reconcile()
            fakes.release()
            for live in lives:
                assert await live.wait_ended()
            assert {live.record.status for live in lives} == {Status.SUCCEEDED}

    run(scenario())


def test_after_an_update_the_workers_of_both_versions_stay_within_the_limit(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        fakes.hold()
        registry = registered(tmp_path, 1, 2)
        deployments = Deployments(registry)
        deployments.create(deployment(max_instances=2))
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            lives = [await predict(gateway, id_of(1), deployment="local/d") for _ in range(2)]
            await until(lambda: gateway.gauges().running == 2)
            deployments.update("local/d", now=6.0, version=id_of(2), min_instances=2, max_instances=2)
            gateway.reconcile()
            lives.append(await predict(gateway, id_of(2), deployment="local/d"))
            # The second version waits for the workers of the first, which get nothing new.
            await gateway.cancel(lives[0].id)
            await until(lambda: fakes.of == [1, 1, 2])
            assert not lives[1].record.status.terminal
            await gateway.cancel(lives[1].id)
            await until(lambda: fakes.of == [1, 1, 2, 2])
            fakes.release()
            assert await lives[2].wait_ended()
            assert [str(live.record.status) for live in lives] == ["canceled", "canceled", "succeeded"]

    run(scenario())


def test_versions_of_a_deployment_share_its_workers_and_an_idle_one_makes_room(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        registry = registered(tmp_path, 1, 2)
        both = deployment(max_instances=1, traffic=(Share(id_of(1), 3.0), Share(id_of(2), 1.0)))
        Deployments(registry).create(both)
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            for number in (1, 2, 2, 1):
                assert await (await predict(gateway, id_of(number), deployment="local/d")).wait_ended()
                assert [worker.stopped for worker in fakes.made].count(False) == 1
            assert fakes.of == [1, 2, 1]

    run(scenario())


def test_no_version_of_a_deployment_keeps_the_only_worker_from_another(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        fakes.hold()
        registry = registered(tmp_path, 1, 2)
        both = deployment(max_instances=1, traffic=(Share(id_of(1)), Share(id_of(2))))
        Deployments(registry).create(both)
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            lives = [await predict(gateway, id_of(number), deployment="local/d") for number in (1, 2, 1, 2)]
            await until(lambda: gateway.gauges().running == 1)
            fakes.release()
            for live in lives:
                assert await live.wait_ended()
            assert {live.record.status for live in lives} == {Status.SUCCEEDED}
            # The oldest prediction of all is next, whichever its version.
            assert fakes.of == [1, 2, 1, 2]

    run(scenario())


def test_the_least_workers_of_a_deployment_are_divided_by_weight(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        registry = registered(tmp_path, 1, 2)
        both = deployment(min_instances=3, max_instances=3, traffic=(Share(id_of(1), 1.0), Share(id_of(2), 2.0)))
        deployments = Deployments(registry)
        deployments.create(both)
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            await until(lambda: gateway.gauges().ready_workers == 3)
            assert sorted(fakes.of) == [1, 2, 2]
            deployments.update("local/d", now=6.0, min_instances=0, max_instances=1)
            gateway.reconcile()
            await until(lambda: gateway.gauges().ready_workers == 1)

    run(scenario())


def test_the_next_gateway_runs_what_waited_whichever_version_it_was_of(tmp_path):
    async def scenario():
        registry = registered(tmp_path, 1, 2, 3)
        Deployments(registry).create(deployment())
        waited = {"old": id_of(1), "current": id_of(3), "deployed": id_of(1), "deleted": id_of(2)}
        async with opened(tmp_path, versions=[], registry=registry) as gateway:
            for name, version in waited.items():
                deployed = "local/d" if name == "deployed" else None
                await gateway.store.add(made_record(name, model=MODEL, version=version, deployment=deployed))
        registry.delete_version(MODEL, id_of(2))
        fakes = NamedFakes()
        fakes.hold()
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            lives = [gateway.active(name) for name in ("old", "current", "deployed")]
            fakes.release()
            for live in lives:
                assert await live.wait_ended()
            found = {name: str((await gateway.find(name)).status) for name in waited}
            assert found == dict.fromkeys(waited, "succeeded") | {"deleted": "failed"}
            # By model and by deployment the same version has a pool each.
            assert sorted(fakes.of) == [1, 1, 3]

    run(scenario())


def test_cancelled_where_it_waits_or_runs_after_its_version_is_superseded(tmp_path):
    async def scenario():
        fakes = NamedFakes()
        fakes.hold()
        registry = registered(tmp_path, 1)
        async with opened(tmp_path, versions=[], registry=registry, fakes=fakes) as gateway:
            lives = [await predict(gateway), await predict(gateway)]
            await until(lambda: gateway.gauges().running == 1)
            registered(tmp_path, 2)
            registry.delete_version(MODEL, id_of(1))
            for live in lives:
                assert (await gateway.cancel(live.id)).status is Status.CANCELED

    run(scenario())
