"""The gateway without HTTP: versions, their queues, and the life of every prediction."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self, TypeVar

from pilotlight.errors import PilotlightError, WorkerError
from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.clock import Clock, steady_clock
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler import recovery
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.log_buffer import LogBuffer
from pilotlight.gateway.scheduler.metrics import Gauges, Metrics
from pilotlight.gateway.scheduler.pools import InputsLike, Pools
from pilotlight.gateway.scheduler.queue import Pool
from pilotlight.gateway.storage.store import Page, Store
from pilotlight.runtime import SupervisorOptions, Worker, WorkerLike, new_prediction_id

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

# A predictor that heeds a cancel at all does so between two lines of Python.
_HEEDS_S = 1.0
# How soon what was pushed or deployed gets the workers that it is to have at all times; requests see it at once.
_ADJUST_S = 1.0


class ClosingError(WorkerError):
    """The gateway is ending and takes no more predictions."""


class Gateway:
    """Serves projects and what has been pushed; ``async with`` opens and closes it.

    Entering takes up what a gateway before this one has left in the store: what was waiting is run, what was running
    is reported as failed. Leaving it is ``close``; ``drain`` before that lets running predictions end.

    Args:
        projects: served as they lie in their folders.
        store: an open one, which nobody else writes.
        limits: of every version that no deployment has others for, but for ``slots``, which are the project's own.
        registry: of what was pushed; ``None`` for none.
        factory: makes a worker for a version; the real Cog server by default.
        supervision: how each worker is kept up.
        clock: seconds since 1970.
        inputs: what is done about inputs before they reach a worker; nothing by default.

    Raises:
        UsageError: two projects have one name.
        StoreError: the registry cannot be read.
    """

    def __init__(
        self,
        projects: Sequence[Version],
        store: Store,
        limits: Limits | None = None,
        *,
        registry: Registry | None = None,
        factory: Callable[[Version], WorkerLike] | None = None,
        supervision: SupervisorOptions | None = None,
        clock: Clock | None = None,
        inputs: InputsLike | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or steady_clock()
        self.journal = LogBuffer(self.clock)
        self.limits = limits or Limits()
        self._inputs = inputs
        self.closing = False
        self._closed = asyncio.Event()
        self.catalog = Catalog(projects, registry)
        self._pools = Pools(
            self.catalog,
            self.limits,
            factory or _real_worker,
            save=store.save,
            clock=self.clock,
            supervision=supervision,
            inputs=inputs,
        )
        self._live: dict[str, tuple[ActivePrediction, Pool]] = {}
        self._going_on: set[asyncio.Future[Any]] = set()
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        now = self.clock()
        projects = self.catalog.projects
        dates = [await self.store.first_seen(one.id, one.model, now) for one in projects]
        dated = [replace(one, created_at=date) for one, date in zip(projects, dates, strict=True)]
        self.catalog.projects = tuple(dated)
        try:
            await self._recover(now)
            self.adjust()
        except BaseException:
            await self.__aexit__()
            raise
        self._follower = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.close()
        finally:
            self.catalog.close()

    @property
    def versions(self) -> tuple[Version, ...]:
        """The current version of every model."""
        return self.catalog.current

    async def drain(self, grace_s: float) -> None:
        """Takes no more predictions, and lets those that run end for up to ``grace_s``."""
        self.closing = True
        self._closed.set()
        if self._going_on:
            await asyncio.wait(self._going_on)
        await self._pools.drain(grace_s)

    async def close(self) -> None:
        """Ends all workers, and fails what still runs; what waits is left to the next gateway. Safe to call twice."""
        await self.drain(0)
        if self._follower is not None:
            await self._follower
        await self._pools.close()
        self.journal.close()

    def pool(self, version: Version, deployment: str | None = None) -> Pool:
        """The queue and the workers of a version, for those who ask for it by itself or by a deployment."""
        return self._pools.get(version, deployment)

    def adjust(self) -> None:
        """Follows a change of the catalog at once, which otherwise takes a second."""
        self._pools.adjust()

    def metrics(self) -> dict[str, tuple[Metrics, Gauges]]:
        """What was counted, and how it stands, by model."""
        return self._pools.metrics()

    @property
    def gauges(self) -> Gauges:
        """How all models together stand."""
        return self._pools.gauges()

    async def create(
        self,
        version: Version,
        inputs: Mapping[str, Any],
        *,
        deployment: str | None = None,
        prediction_id: str | None = None,
        also: Callable[[sqlite3.Connection], object] | None = None,
    ) -> ActivePrediction:
        """Accepts a prediction: it is stored when this returns, and will reach an end whatever happens.

        Args:
            version: what to run.
            inputs: by name.
            deployment: ``owner/name`` when it was asked for by that.
            prediction_id: a new one by default.
            also: writes what has to be stored with it, or not at all.

        Raises:
            InvalidInputError: an input is wrong.
            WorkerBusyError: too many are waiting.
            ClosingError: the gateway is ending.
            StoreError: it cannot be stored.
        """
        if self.closing:
            raise ClosingError("the gateway is stopping and takes no more predictions")
        given = version.validator.check(inputs)
        if self._inputs is not None:
            self._inputs.check(version, given)
        record = PredictionRecord(
            id=prediction_id or new_prediction_id(),
            model=version.model,
            version=version.id,
            deployment=deployment,
            input=version.validator.redact(given),
            created_at=self.clock(),
            stream_key=secrets.token_urlsafe(24),
        )
        pool = self.pool(version, deployment)
        live = self._made(version, record, given)
        # With its start in the same write where it need not wait: it may not run before the store says that it does.
        accepted = lifecycle.begin(record, self.clock()) if pool.reserve(live) else record
        storing = self._keep(self.store.adding(accepted, also))
        storing.add_done_callback(lambda stored: self._take(pool, live, stored))
        # A caller who leaves now leaves a whole prediction behind.
        await asyncio.shield(storing)
        return live

    async def find(self, prediction_id: str) -> PredictionRecord | None:
        """What a prediction is now."""
        live = self.live(prediction_id)
        return live.record if live is not None else await self.store.get(prediction_id)

    def live(self, prediction_id: str) -> ActivePrediction | None:
        """A prediction that has not ended."""
        live, _ = self._live.get(prediction_id, (None, None))
        return live

    async def page(self, limit: int, *, before: int | None = None, after: int | None = None) -> Page:
        """As ``Store.page``, with those that run as they are now."""
        page = await self.store.page(limit, before=before, after=after)
        now = ((number, self._live[r.id][0].record if r.id in self._live else r) for number, r in page.records)
        return replace(page, records=tuple(now))

    async def cancel(self, prediction_id: str) -> PredictionRecord | None:
        """Cancels a prediction; one that has ended stays as it is. The record is that of now.

        One that waits ends at once. One that runs ends when its predictor heeds it, or when its worker is killed: if
        that takes longer than a second, the record is that of one that still runs.
        """
        live, pool = self._live.get(prediction_id, (None, None))
        if live is None or pool is None:
            return await self.store.get(prediction_id)
        await asyncio.shield(self._canceling(live, pool))
        await live.wait_ended(_HEEDS_S)
        return live.record

    def leave(self, live: ActivePrediction) -> None:
        """As ``cancel``, without waiting for anything."""
        if live.id in self._live:
            self._canceling(live, self._live[live.id][1])

    def _canceling(self, live: ActivePrediction, pool: Pool) -> asyncio.Future[None]:
        return self._keep(asyncio.create_task(pool.cancel(live)))

    def _made(self, version: Version, record: PredictionRecord, given: Mapping[str, Any]) -> ActivePrediction:
        return ActivePrediction(record, given, iterates=version.iterates, on_end=self._forget, on_log=self._note)

    def _take(self, pool: Pool, live: ActivePrediction, stored: asyncio.Future[None]) -> None:
        """A prediction has been stored, or could not be, which its caller is told."""
        if stored.exception() is None:
            self._queue(pool, live)
        else:
            pool.release(live)

    def _queue(self, pool: Pool, live: ActivePrediction) -> None:
        self._live[live.id] = (live, pool)
        pool.put(live)

    def _note(self, live: ActivePrediction, text: str) -> None:
        self.journal.add(text, model=live.record.model, prediction=live.id)

    def _forget(self, live: ActivePrediction) -> None:
        self._live.pop(live.id, None)

    async def _recover(self, now: float) -> None:
        for left in await self.store.unfinished():
            record, version = recovery.take_up(left, self.catalog, now)
            if version is None:
                await self.store.save(record)
            else:
                self._queue(self.pool(version, record.deployment), self._made(version, record, record.input))

    async def _follow(self) -> None:
        """Follows what other processes do to the catalog, and lets go of what nobody needs."""
        while not self.closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ADJUST_S):
                    await self._closed.wait()
            try:
                self.adjust()
            except PilotlightError as error:
                _LOG.error("what was pushed or deployed cannot be followed: %s", error)

    def _keep(self, work: asyncio.Future[T]) -> asyncio.Future[T]:
        """What goes on when the request that it is for has ended."""
        self._going_on.add(work)
        work.add_done_callback(self._going_on.discard)
        return work


def _real_worker(version: Version) -> WorkerLike:
    return Worker(version.project)
