"""A target in memory, with the interface of the real ones."""

import asyncio

from pilotlight.client.targets.local import LocalJob
from pilotlight.errors import TargetUnavailableError
from pilotlight.runtime import FakeWorker, Started
from pilotlight.types import Status


class LostJob:
    """A prediction that runs, and of which nothing can be heard."""

    id = "lost"

    def __init__(self):
        self.cancels = 0

    async def events(self):
        yield Started(self.id)
        raise TargetUnavailableError("the target is not to be heard")

    async def status(self):
        return Status.PROCESSING

    async def cancel(self):
        self.cancels += 1


class FakeConnection:
    """Runs predictions on a ``FakeWorker``; ``down`` raises that instead of taking one.

    None is accepted while ``accepting`` is not set, which ends with the ``last_accepted``th; and none begins while
    ``beginning`` is not set.
    """

    def __init__(self, *, down=None, schema=None, **options):
        self.worker = FakeWorker(**{"slots": 100, **options})
        self.down = down
        self.closed = False
        self.refused = 0
        self.asked = 0
        self.seen = []
        self.deadlines = []
        self.accepting = asyncio.Event()
        self.accepting.set()
        self.last_accepted = None
        self.beginning = asyncio.Event()
        self.beginning.set()
        self._schema = schema

    async def schema(self):
        return self._schema

    async def submit(self, inputs, *, total_s):
        if self.down is not None:
            self.refused += 1
            raise self.down
        self.asked += 1
        await self.accepting.wait()
        self.seen.append(inputs)
        if len(self.seen) == self.last_accepted:
            self.accepting.clear()
        self.deadlines.append(total_s)
        return LocalJob(self, inputs)

    async def attach(self, job_id):
        raise AssertionError("no test attaches")

    async def upload(self, name, content, content_type):
        return f"https://files.example/{name}?{len(content)}&{content_type}"

    async def close(self):
        self.closed = True

    async def run(self, inputs, feed, *, prediction_id):
        await self.beginning.wait()
        return await self.worker.run(inputs, feed, prediction_id=prediction_id)
