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
from pilotlight.gateway.scheduler.active_set import ActiveSet
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.listeners import Listeners
from pilotlight.gateway.scheduler.log_buffer import LogBuffer
from pilotlight.gateway.scheduler.metrics import Gauges, Metrics, ServingKey
from pilotlight.gateway.scheduler.pools import InputsLike, Pools
from pilotlight.gateway.scheduler.queue import VersionQueue
from pilotlight.gateway.scheduler.router import Asked, Destination, route
from pilotlight.gateway.storage.store import Page, Store
from pilotlight.runtime import KeeperOptions, ServerOptions, Worker, WorkerLike, new_prediction_id
from pilotlight.traffic import RequestKeys

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

# For the worker of a cancelled prediction to be killed, after the time that it has to give it up.
_KILL_S = 10.0
# How often the workers are reconciled with what was pushed and deployed; requests see a change at once.
_RECONCILE_S = 1.0


class ClosingError(WorkerError):
    """The gateway is ending and takes no more predictions."""


class Gateway:
    """Serves projects and pushed versions; ``async with`` opens and closes it.

    Entering recovers the unfinished predictions of the gateway before this one from the store: those that were waiting
    are run, those that were running are reported as failed. Leaving calls ``close``; call ``drain`` before that to let
    running predictions end.

    Args:
        projects: projects that are served from their folders.
        store: an open store that no other process writes.
        limits: the limits of every version that is served without a deployment; ``slots`` are the project's own.
        registry: the registry of pushed versions; ``None`` for none.
        factory: makes a worker for a version; a real Cog server by default.
        keeper_options: how each worker is kept running.
        clock: seconds since 1970.
        inputs: prepares inputs before they reach a worker; by default they stay as they are.
        strict_inputs: refuse inputs that a predictor does not have; by default they are ignored.

    Attributes:
        listeners: called at every step of every prediction; others may be added.
        metrics: what was counted and measured, by version and deployment.
        logs: the last lines that workers and predictions have printed.
        closing: whether no more predictions are accepted.

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
        keeper_options: KeeperOptions | None = None,
        clock: Clock | None = None,
        inputs: InputsLike | None = None,
        strict_inputs: bool = False,
    ) -> None:
        self.store = store
        self.clock = clock or steady_clock()
        self.logs = LogBuffer(self.clock)
        self.limits = limits or Limits()
        self._inputs = inputs
        self._cancel_wait_s = (keeper_options or KeeperOptions()).cancel_grace_s + _KILL_S
        self._strict_inputs = strict_inputs
        self.closing = False
        self._closed = asyncio.Event()
        self.catalog = Catalog(projects, registry)
        self.metrics = Metrics(self._metrics_key, lambda: self._pools.gauges_by_key())
        self._active = ActiveSet()
        self.listeners = Listeners(self._active, self.metrics, self.logs)
        self._pools = Pools(
            self.catalog,
            self.limits,
            factory or _real_worker,
            save=store.save,
            clock=self.clock,
            keeper_options=keeper_options,
            inputs=inputs,
            listeners=self.listeners,
            metrics=self.metrics,
        )
        self._background: set[asyncio.Future[Any]] = set()
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        now = self.clock()
        projects = self.catalog.projects
        dates = [await self.store.first_seen(one.id, one.model, now) for one in projects]
        dated = [replace(one, created_at=date) for one, date in zip(projects, dates, strict=True)]
        self.catalog.projects = tuple(dated)
        try:
            await self._recover(now)
            self.reconcile()
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
        """Refuse new predictions, and wait up to ``grace_s`` for those that run."""
        self.closing = True
        self._closed.set()
        if self._background:
            await asyncio.wait(self._background)
        await self._pools.drain(grace_s)

    async def close(self) -> None:
        """End all workers and fail what still runs; what waits is left to the next gateway. Safe to call twice."""
        await self.drain(0)
        if self._follower is not None:
            await self._follower
        await self._pools.close()
        self.logs.close()

    def pool(self, version: Version, deployment: str | None = None) -> VersionQueue:
        """Return the queue of a version, as a deployment serves it or without one."""
        return self._pools.get(version, deployment)

    def reconcile(self) -> None:
        """Make queues and workers follow the catalog now, which otherwise happens within a second."""
        self._pools.reconcile()

    def gauges_by_key(self) -> dict[ServingKey, Gauges]:
        """The state of every version that is served, by deployment, those without workers included."""
        return self._pools.gauges_by_key()

    def traffic(self) -> dict[ServingKey, float]:
        """Return the share of new predictions of a model or a deployment that goes to each of its versions."""
        return self._pools.traffic()

    def gauges(self, model: str | None = None) -> Gauges:
        """The state of all versions of a model, or of all models, together."""
        return Gauges.sum(now for key, now in self._pools.gauges_by_key().items() if model in (None, key.model))

    def route(self, asked: Asked, keys: RequestKeys | None = None) -> Destination:
        """Return which version a request goes to, as ``router.route`` does.

        Args:
            asked: what was asked for.
            keys: requests with equal keys stay on one version of a deployment; each for itself without.
        """
        return route(asked, self.catalog, keys or RequestKeys(), secrets.token_hex(8))

    async def create(
        self,
        version: Version,
        inputs: Mapping[str, Any],
        *,
        deployment: str | None = None,
        prediction_id: str | None = None,
        owner: str | None = None,
        also: Callable[[sqlite3.Connection], object] | None = None,
        deadline: float | None = None,
    ) -> ActivePrediction:
        """Accept a prediction: it is stored when this returns, and reaches an end whatever happens.

        Args:
            version: the version to run.
            inputs: the inputs by name.
            deployment: ``owner/name`` of the deployment that it was asked for by, if any.
            prediction_id: its id; a new one by default.
            owner: the id of the token that creates it, if any.
            also: writes what has to be stored in the same transaction.
            deadline: when it is cancelled, for its record; ``Deadlines`` cancels it.

        Raises:
            InvalidInputError: an input is wrong.
            WorkerBusyError: too many are waiting.
            ClosingError: the gateway is ending.
            StoreError: it cannot be stored.
        """
        if self.closing:
            raise ClosingError("the gateway is stopping and takes no more predictions")
        given = version.validator.check(inputs, strict=self._strict_inputs)
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
            owner=owner,
            deadline=deadline,
        )
        pool = self.pool(version, deployment)
        active = ActivePrediction(record, given, iterates=version.iterates)
        # Where it need not wait its start is part of the same write: nothing runs before the store says that it does.
        accepted = lifecycle.begin(record, self.clock()) if pool.reserve(active) else record
        storing = self._in_background(self.store.adding(accepted, also))
        storing.add_done_callback(lambda stored: self._enqueue_stored(pool, active, stored))
        # Storing goes on when the caller leaves now.
        await asyncio.shield(storing)
        return active

    async def find(self, prediction_id: str) -> PredictionRecord | None:
        """Return a prediction as it is now; ``None`` where there is none."""
        active = self.active(prediction_id)
        return active.record if active is not None else await self.store.get(prediction_id)

    def active(self, prediction_id: str) -> ActivePrediction | None:
        """Return a prediction that has not ended; ``None`` where it has, or there is none."""
        active, _ = self._active.get(prediction_id)
        return active

    async def page(
        self,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        owner: str | None = None,
        created: tuple[float | None, float | None] = (None, None),
    ) -> Page:
        """Return a page as ``Store.page`` does, with those that run as they are now."""
        page = await self.store.page(limit, before=before, after=after, owner=owner, created=created)
        now = ((number, active.listed() if (active := self.active(r.id)) else r) for number, r in page.records)
        return replace(page, records=tuple(now))

    async def cancel(self, prediction_id: str) -> PredictionRecord | None:
        """Cancel a prediction and return it as it is then; one that has ended stays as it is.

        One that waits ends at once. One that runs ends when its predictor stops, or when its worker is killed, and this
        returns then.
        """
        active, pool = self._active.get(prediction_id)
        if active is None or pool is None:
            return await self.store.get(prediction_id)
        await asyncio.shield(self._canceling(active, pool))
        await active.wait_ended(self._cancel_wait_s)
        return active.record

    def leave(self, active: ActivePrediction) -> None:
        """Cancel a prediction as ``cancel`` does, without waiting for anything."""
        _, pool = self._active.get(active.id)
        if pool is not None:
            self._canceling(active, pool)

    def _canceling(self, active: ActivePrediction, pool: VersionQueue) -> asyncio.Future[None]:
        return self._in_background(asyncio.create_task(pool.cancel(active)))

    def _enqueue_stored(self, pool: VersionQueue, active: ActivePrediction, stored: asyncio.Future[None]) -> None:
        """Queue a prediction that has been stored; where it could not be, ``create`` raises why."""
        if stored.exception() is None:
            self._enqueue(pool, active)
        else:
            pool.cancel_reservation(active)

    def _enqueue(self, pool: VersionQueue, active: ActivePrediction) -> None:
        self._active.add(active, pool)
        pool.put(active)

    def _metrics_key(self, record: PredictionRecord) -> ServingKey:
        return self._pools.key(record.model, record.version, record.deployment)

    async def _recover(self, now: float) -> None:
        for left in await self.store.unfinished():
            record, version = recovery.recover(left, self.catalog, now)
            if version is None:
                await self.store.save(record)
                self.listeners.ended(record)
            else:
                active = ActivePrediction(record, record.input, iterates=version.iterates)
                self._enqueue(self.pool(version, record.deployment), active)

    async def _follow(self) -> None:
        """Reconcile once a second, as other processes change the catalog too, until the gateway closes."""
        while not self.closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECONCILE_S):
                    await self._closed.wait()
            try:
                self.reconcile()
            except PilotlightError as error:
                _LOG.error("workers cannot follow what was pushed or deployed: %s", error)

    def _in_background(self, work: asyncio.Future[T]) -> asyncio.Future[T]:
        """Keep hold of ``work``, which goes on when the request that started it has ended."""
        self._background.add(work)
        work.add_done_callback(self._background.discard)
        return work


def _real_worker(version: Version) -> WorkerLike:
    return Worker(version.project, ServerOptions(private=True))
