"""Versions, and gateways whose workers are fakes."""

import asyncio
import contextlib

import httpx2

from pilotlight.gateway import Gateway, GatewaySettings, Limits, Store, Version, open_gateway
from pilotlight.gateway.clock import steady_clock
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.runtime import FakeWorker, Project
from pilotlight.runtime.schema.validation import Validator
from tests.paths import PROJECTS

DOCUMENT = {
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "properties": {
                    "prompt": {"type": "string", "x-order": 0},
                    "count": {"type": "integer", "minimum": 0, "maximum": 9, "x-order": 1},
                    "token": {"type": "string", "minLength": 3, "x-cog-secret": True, "x-order": 3},
                    "mode": {"allOf": [{"$ref": "#/components/schemas/mode"}], "x-order": 2},
                },
                "required": ["prompt"],
            },
            "mode": {"type": "string", "enum": ["loud", "quiet"]},
            "Output": {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
        }
    }
}


def made_version(number=1, *, folder="run_text", document=None):
    project = Project.load(PROJECTS / folder)
    chosen = DOCUMENT if document is None else document
    return Version(
        id=f"{number:064x}",
        owner="local",
        name=f"model{number}",
        project=project,
        document=chosen,
        validator=Validator(chosen),
        cog_version="0.23.1",
        created_at=0.0,
    )


def made_record(name="a", **changes):
    fields = {
        "id": name,
        "model": "local/model1",
        "version": f"{1:064x}",
        "deployment": None,
        "input": {"prompt": name},
        "created_at": 100.0,
        "stream_key": "key",
    }
    return PredictionRecord(**{**fields, **changes})


class Fakes:
    """Makes the workers, and remembers them."""

    def __init__(self, **options):
        self.options = options
        self.made = []
        self.held = False

    def __call__(self, *_):
        worker = FakeWorker(**self.options)
        if self.held:
            worker.hold()
        self.made.append(worker)
        return worker

    def hold(self):
        """Predictions stop before their end, on the workers there are and those to come."""
        self.held = True
        for worker in self.made:
            worker.hold()

    def release(self):
        self.held = False
        for worker in self.made:
            worker.release()


async def until(condition):
    """Waits until it holds; the test's own time limit ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.001)


def ended(gateway, status, model="local/model1"):
    """How many predictions of a model have ended so, over all its versions."""
    return sum(metrics.ended[status] for metrics in gateway.metrics.of_model(model))


@contextlib.asynccontextmanager
async def opened(path, *, versions=None, limits=None, fakes=None, clock=None, inputs=None, **options):
    """An open gateway with fake workers; ``inputs`` makes what it is to do about inputs, of its store and its clock."""
    factory = Fakes() if fakes is None else fakes
    clock = clock or steady_clock()
    async with Store(path / "test.sqlite3", to_disk=False) as store:
        chosen = [made_version()] if versions is None else versions
        options |= {"clock": clock, "inputs": inputs and inputs(store, clock)}
        async with Gateway(chosen, store, limits, factory=factory, **options) as gateway:
            yield gateway


@contextlib.asynccontextmanager
async def served(path, *, versions=None, limits=None, fakes=None, clock=None, keeper_options=None, **settings):
    """An HTTP client of an open gateway with fake workers; gateway, files, services and tokens are its attributes.

    ``settings`` are fields of ``GatewaySettings``; ``limits`` stands for four of them.
    """
    if limits is not None:
        names = ("min_workers", "max_workers", "idle_timeout_s", "max_waiting")
        settings |= {name: getattr(limits, name) for name in names}
    chosen = GatewaySettings(**{"home": path, "port": 0, "max_body_bytes": 1 << 20, "fsync": False, **settings})
    async with (
        open_gateway(
            chosen,
            versions=[made_version()] if versions is None else versions,
            factory=Fakes() if fakes is None else fakes,
            clock=clock,
            keeper_options=keeper_options,
        ) as opened,
        httpx2.AsyncClient(base_url=opened.url, trust_env=False, timeout=120) as client,
    ):
        client.gateway, client.files, client.services = opened.gateway, opened.files, opened.services
        client.tokens = opened.tokens
        yield client


def run(scenario):
    """Runs a coroutine, for up to a minute."""

    async def bounded():
        async with asyncio.timeout(120):
            return await scenario

    return asyncio.run(bounded())


__all__ = [
    "DOCUMENT",
    "PROJECTS",
    "Fakes",
    "Limits",
    "ended",
    "made_record",
    "made_version",
    "opened",
    "run",
    "served",
    "until",
]
