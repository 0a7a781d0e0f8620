"""The gateway without HTTP: versions, their queues, and the life of every prediction."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

from pilotlight.errors import WorkerError
from pilotlight.gateway import states
from pilotlight.gateway.clock import Clock, steady_clock
from pilotlight.gateway.live import Live
from pilotlight.gateway.pool import Pool
from pilotlight.gateway.scaling import Limits
from pilotlight.gateway.states import Record
from pilotlight.gateway.store import Page, Store
from pilotlight.gateway.validation import REDACTED
from pilotlight.gateway.versions import Version, require_different
from pilotlight.runtime import SupervisorOptions, Worker, WorkerLike, new_prediction_id
from pilotlight.types import Status

T = TypeVar("T")

# A predictor that heeds a cancel at all does so between two lines of Python.
_HEEDS_S = 1.0

NOT_KEPT = (
    "This prediction has a secret input, which is never stored, so it could not be run after the gateway had ended; "
    "create it again."
)
NOT_SERVED = "The version of this prediction is no longer served here, so it was not run."


class ClosingError(WorkerError):
    """The gateway is ending and takes no more predictions."""


class Gateway:
    """Serves ``versions``; ``async with`` opens and closes it.

    Entering takes up what a gateway before this one has left in the store: what was waiting is run, what was running
    is reported as failed. Leaving it is ``close``; ``drain`` before that lets running predictions end.

    Args:
        versions: at least one; the first is that of the plain routes.
        store: an open one, which nobody else writes.
        limits: of every version, but for ``slots``, which are the project's own.
        factory: makes a worker for a version; the real Cog server by default.
        supervision: how each worker is kept up.
        clock: seconds since 1970.

    Raises:
        UsageError: two versions have one name.
    """

    def __init__(
        self,
        versions: Sequence[Version],
        store: Store,
        limits: Limits | None = None,
        *,
        factory: Callable[[Version], WorkerLike] | None = None,
        supervision: SupervisorOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        require_different(versions)
        self.versions = tuple(versions)
        self.store = store
        self.clock = clock or steady_clock()
        self.closing = False
        self._pools = {
            version.model: Pool(
                functools.partial(factory or _real_worker, version),
                replace(limits or Limits(), slots=version.project.max_concurrency),
                save=store.save,
                clock=self.clock,
                supervision=supervision,
            )
            for version in versions
        }
        self._live: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        now = self.clock()
        self.versions = tuple(
            [replace(v, created_at=await self.store.first_seen(v.id, v.model, now)) for v in self.versions]
        )
        await self._recover(now)
        for pool in self._pools.values():
            await pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def drain(self, grace_s: float) -> None:
        """Takes no more predictions, and lets those that run end for up to ``grace_s``."""
        self.closing = True
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(pool.drain(grace_s) for pool in self._pools.values()))

    async def close(self) -> None:
        """Ends all workers, and fails what still runs; what waits is left to the next gateway. Safe to call twice."""
        await self.drain(0)
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    def pool(self, version: Version) -> Pool:
        """The queue and the workers of a version."""
        return self._pools[version.model]

    async def create(self, version: Version, inputs: Mapping[str, Any], *, deployment: str | None = None) -> Live:
        """Accepts a prediction: it is stored when this returns, and will reach an end whatever happens.

        Raises:
            InvalidInputError: an input is wrong.
            WorkerBusyError: too many are waiting.
            ClosingError: the gateway is ending.
            StoreError: it cannot be stored.
        """
        if self.closing:
            raise ClosingError("the gateway is stopping and takes no more predictions")
        given = version.validator.check(inputs)
        record = Record(
            id=new_prediction_id(),
            model=version.model,
            version=version.id,
            deployment=deployment,
            input=version.validator.redact(given),
            created_at=self.clock(),
            stream_key=secrets.token_urlsafe(24),
        )
        self.pool(version).reserve()
        # A caller who leaves now must not leave a stored prediction behind that is in no queue.
        return await asyncio.shield(self._keep(self._accept(version, record, given)))

    async def find(self, prediction_id: str) -> Record | None:
        """What a prediction is now."""
        live = self._live.get(prediction_id)
        return live.record if live is not None else await self.store.get(prediction_id)

    def live(self, prediction_id: str) -> Live | None:
        """A prediction that has not ended."""
        return self._live.get(prediction_id)

    async def page(self, limit: int, *, before: int | None = None, after: int | None = None) -> Page:
        """As ``Store.page``, with those that run as they are now."""
        page = await self.store.page(limit, before=before, after=after)
        now = ((number, self._live[r.id].record if r.id in self._live else r) for number, r in page.records)
        return replace(page, records=tuple(now))

    async def cancel(self, prediction_id: str) -> Record | None:
        """Cancels a prediction; one that has ended stays as it is. The record is that of now.

        One that waits ends at once. One that runs ends when its predictor heeds it, or when its worker is killed: if
        that takes longer than a second, the record is that of one that still runs.
        """
        live = self._live.get(prediction_id)
        if live is None:
            return await self.store.get(prediction_id)
        await asyncio.shield(self._keep(self._pools[live.record.model].cancel(live)))
        await live.wait_ended(_HEEDS_S)
        return live.record

    def leave(self, live: Live) -> None:
        """As ``cancel``, without waiting for anything."""
        if not live.record.status.terminal:
            self._keep(self._pools[live.record.model].cancel(live))

    async def _accept(self, version: Version, record: Record, given: Mapping[str, Any]) -> Live:
        pool = self.pool(version)
        try:
            await self.store.add(record)
        finally:
            pool.release()
        return self._queue(version, record, given)

    def _queue(self, version: Version, record: Record, given: Mapping[str, Any]) -> Live:
        live = Live(record, given, iterates=version.iterates, on_end=self._forget)
        self._live[record.id] = live
        self.pool(version).put(live)
        return live

    def _forget(self, live: Live) -> None:
        self._live.pop(live.id, None)

    async def _recover(self, now: float) -> None:
        served = {(version.model, version.id): version for version in self.versions}
        for left in await self.store.unfinished():
            record = states.recover(left, now)
            version = served.get((record.model, record.version))
            if record.status is not Status.STARTING:
                await self.store.save(record)
            elif version is None:
                await self.store.save(states.fail(record, NOT_SERVED, now))
            elif REDACTED in record.input.values():
                await self.store.save(states.fail(record, NOT_KEPT, now))
            else:
                self._queue(version, record, record.input)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that outlives the request that it is for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _real_worker(version: Version) -> WorkerLike:
    return Worker(version.project)
