"""Who hears of predictions, and what becomes of one that fails."""

import asyncio

from pilotlight.gateway import Gateway, Store
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.scheduler.listeners import Listeners, NullListener
from pilotlight.gateway.scheduler.metrics import ServingKey
from pilotlight.gateway.scheduler.router import ByDeployment, ByModel
from pilotlight.types import Status
from tests.gateway.made import Fakes, Limits, made_record, made_version, opened, run, until


class Hearing(NullListener):
    """Remembers everything."""

    def __init__(self):
        self.heard = []

    def refused(self, record):
        self.heard.append(("refused", record.input["prompt"]))

    def started(self, record):
        self.heard.append(("started", record.input["prompt"]))

    def output(self, record, chunk, at):
        assert at >= record.started_at
        self.heard.append(("output", record.input["prompt"], chunk))

    def log(self, record, text):
        self.heard.append(("log", record.input["prompt"], text))

    def ended(self, record):
        self.heard.append((str(record.status), record.input["prompt"]))


class Failing(NullListener):
    """Fails whatever it is told."""

    def refused(self, record):
        raise RuntimeError

    started = log = ended = refused

    def output(self, record, chunk, at):
        raise KeyError(chunk)


def test_every_step_of_a_prediction_is_heard_in_order_and_one_that_fails_hurts_nobody(tmp_path, caplog):
    async def scenario():
        before, after = Hearing(), Hearing()
        async with opened(tmp_path, fakes=Fakes(answer=lambda inputs: ["x", "y"])) as gateway:
            for listener in (before, Failing(), after):
                gateway.listeners.add(listener)
            for prompt in ("a", "b"):
                active = await gateway.create(gateway.versions[0], {"prompt": prompt})
                assert await active.wait_ended()
                assert (active.record.status, active.record.output) == (Status.SUCCEEDED, ["x", "y"])
        expected = [
            step
            for prompt in ("a", "b")
            for step in (
                ("started", prompt),
                ("output", prompt, "x"),
                ("output", prompt, "y"),
                ("succeeded", prompt),
            )
        ]
        assert before.heard == after.heard == expected

    run(scenario())
    # Once for each method, however often it fails.
    names = sorted(record.args[0] for record in caplog.records)
    assert len(names) == 2
    assert all("Failing" in name for name in names)


def test_what_is_refused_or_cancelled_in_the_queue_is_heard_and_never_starts(tmp_path):
    async def scenario():
        hearing, fakes = Hearing(), Fakes()
        fakes.hold()
        async with opened(tmp_path, fakes=fakes, limits=Limits(max_waiting=1)) as gateway:
            gateway.listeners.add(hearing)
            version = gateway.versions[0]
            await gateway.create(version, {"prompt": "runs"})
            await until(lambda: hearing.heard[:1] == [("started", "runs")])
            waits = await gateway.create(version, {"prompt": "waits"})
            refused = await asyncio.gather(gateway.create(version, {"prompt": "refused"}), return_exceptions=True)
            assert "1 predictions are waiting" in str(refused[0])
            await gateway.cancel(waits.id)
        ends = [heard for heard in hearing.heard if heard[0] != "output"]
        assert ends == [("started", "runs"), ("refused", "refused"), ("canceled", "waits"), ("failed", "runs")]

    run(scenario())


def test_what_ran_when_a_gateway_was_killed_is_heard_as_failed_from_the_next(tmp_path):
    async def scenario():
        async with opened(tmp_path) as gateway:
            ran = made_record("ran")
            await gateway.store.add(ran)
            await gateway.store.save(lifecycle.begin(ran, 101.0))
        hearing = Hearing()
        async with Store(tmp_path / "test.sqlite3", to_disk=False) as store:
            gateway = Gateway([made_version()], store, factory=Fakes())
            gateway.listeners.add(hearing)
            async with gateway:
                assert hearing.heard == [("failed", "ran")]

    run(scenario())


def test_a_project_counts_once_whether_it_is_asked_for_as_a_model_or_as_its_own_deployment(tmp_path):
    async def scenario():
        async with opened(tmp_path) as gateway:
            for asked in (ByModel("local/model1"), ByDeployment("local/model1")):
                found = gateway.route(asked)
                active = await gateway.create(found.version, {"prompt": "a"}, deployment=found.deployment)
                assert await active.wait_ended()
            (counted,) = gateway.metrics.of_model("local/model1")
            assert counted.ended[Status.SUCCEEDED] == 2
            (key,) = gateway.metrics.counted
            assert key == ServingKey("local/model1", f"{1:064x}", None)

    run(scenario())


def test_what_a_predictor_prints_is_heard_with_its_prediction():
    hearing = Hearing()
    Listeners(hearing).log(made_record("a"), "half done")
    assert hearing.heard == [("log", "a", "half done")]


def test_one_that_is_removed_hears_nothing_more():
    hearing = Hearing()
    listeners = Listeners(hearing)
    listeners.ended(made_record("a"))
    listeners.remove(hearing)
    listeners.remove(hearing)
    listeners.ended(made_record("b"))
    assert hearing.heard == [("starting", "a")]
