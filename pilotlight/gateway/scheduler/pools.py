"""The queues of all versions that are asked for: each is made when it is needed and removed when nothing needs it.

A version has one queue for requests by model or version, and one for every deployment that serves it, which has limits
of its own. A superseded version keeps its queue until its last prediction has ended and its workers have idled out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pilotlight.errors import ConfigError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.deployments import Deployment
from pilotlight.gateway.registry.gc import Lease
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.budget import WorkerBudget, split_minimum
from pilotlight.gateway.scheduler.listeners import Listeners
from pilotlight.gateway.scheduler.metrics import Gauges, Metrics, ServingKey
from pilotlight.gateway.scheduler.queue import Saver, VersionQueue
from pilotlight.runtime import KeeperOptions, WorkerLike


class InputsLike(Protocol):
    """Prepares inputs: ``egress.inputs.Inputs``."""

    def check(self, version: Version, inputs: Mapping[str, Any], /) -> None:
        """Raise an ``InvalidInputError`` where a prediction cannot be accepted."""

    def ready(
        self, version: Version, inputs: Mapping[str, Any], /
    ) -> contextlib.AbstractAsyncContextManager[Mapping[str, Any]]:
        """Give what the worker gets, for as long as it runs."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A queue, its version, and what keeps the version's files from being removed."""

    pool: VersionQueue
    version: Version
    lease: Lease | None


class Pools:
    """All queues of a gateway, until ``close``.

    Args:
        catalog: says which versions are current, and how deployments scale.
        limits: the limits of what is served without a deployment; ``slots`` are the project's own.
        factory: makes a worker for a version.
        save: stores every step of a prediction.
        clock: the gateway's clock.
        listeners: called at every step of every prediction.
        metrics: the gateway's metrics.
        keeper_options: how each worker is kept running.
        inputs: prepares inputs before they reach a worker.
    """

    def __init__(
        self,
        catalog: Catalog,
        limits: Limits,
        factory: Callable[[Version], WorkerLike],
        *,
        save: Saver,
        clock: Clock,
        listeners: Listeners,
        metrics: Metrics,
        keeper_options: KeeperOptions | None = None,
        inputs: InputsLike | None = None,
    ) -> None:
        self._catalog = catalog
        self._limits = limits
        self._factory = factory
        self._save = save
        self._clock = clock
        self._listeners = listeners
        self._metrics = metrics
        self._keeper_options = keeper_options
        self._inputs = inputs
        self._entries: dict[ServingKey, _Entry] = {}
        self._budgets: dict[str, WorkerBudget] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._closing = False

    def key(self, model: str, version: str, deployment: str | None) -> ServingKey:
        """Return the key of a version's queue; a project served from its folder has one queue for all requests."""
        own = any(project.model == deployment == model for project in self._catalog.projects)
        return ServingKey(model, version, None if own else deployment)

    def get(self, version: Version, deployment: str | None = None) -> VersionQueue:
        """Return the queue of a version, made and opened if there is none yet.

        Args:
            version: a version of the catalog.
            deployment: the name of the deployment that it was asked for by, if any.
        """
        key = self.key(version.model, version.id, deployment)
        if key not in self._entries:
            self._entries[key] = self._make(key, version)
        return self._entries[key].pool

    def reconcile(self) -> None:
        """Follow the catalog: apply limits, open queues with a least number of workers, remove queues without use."""
        if self._closing:
            return
        for version, deployment in self._with_minimum():
            self.get(version, deployment)
        for key, entry in list(self._entries.items()):
            limits = self._limits_of(key, entry.version)
            if limits != entry.pool.limits:
                entry.pool.resize(limits)
            if entry.pool.idle and not self._catalog.is_wanted(entry.version, key.deployment):
                del self._entries[key]
                self._in_background(_end(entry))
        deployments = {key.deployment for key in self._entries}
        self._budgets = {name: budget for name, budget in self._budgets.items() if name in deployments}
        for name, budget in self._budgets.items():
            if found := self._catalog.created(name):
                budget.resize(found.max_instances)
        for key in self._metrics.counted:
            if key not in self._entries and not self._catalog.has(key.model, key.version):
                self._metrics.forget(key)

    def gauges_by_key(self) -> dict[ServingKey, Gauges]:
        """Return the state of every queue, and of every version that would be served now but has none."""
        found = dict.fromkeys(self.traffic(), Gauges())
        return found | {key: entry.pool.gauges for key, entry in self._entries.items()}

    def traffic(self) -> dict[ServingKey, float]:
        """Return the versions that new predictions go to, with their share of those by the model or the deployment."""
        found = {ServingKey(one.model, one.current, None): 1.0 for one in self._catalog.models if one.current}
        for one in self._catalog.deployments:
            total = math.fsum(share.weight for share in one.traffic)
            found |= {ServingKey(one.model, s.version, one.deployment): s.weight / total for s in one.traffic}
        return found

    async def drain(self, grace_s: float) -> None:
        """Call ``VersionQueue.drain`` of all queues; none is opened from now on."""
        self._closing = True
        await asyncio.gather(*(entry.pool.drain(grace_s) for entry in self._entries.values()))

    async def close(self) -> None:
        """Call ``VersionQueue.close`` of all queues."""
        self._closing = True
        await asyncio.gather(*(_end(entry) for entry in self._entries.values()), *self._background)

    def _make(self, key: ServingKey, version: Version) -> _Entry:
        lease = None
        if version.pushed:
            with contextlib.suppress(OSError):  # without a folder no worker will start, and that says why
                lease = Lease(version.project.root)
        # Most versions take no files, and their inputs stay as they are.
        inputs = self._inputs if version.validator.files else None
        metrics = self._metrics.of(key)
        pool = VersionQueue(
            lambda: self._factory(version),
            self._limits_of(key, version),
            save=self._save,
            clock=self._clock,
            keeper_options=self._keeper_options,
            listeners=self._listeners,
            on_worker_ready=metrics.worker_start_s.observe,
            predict_s=lambda: metrics.mean_predict_s,
            budget=self._budget(key.deployment),
            prepare=None if inputs is None else functools.partial(inputs.ready, version),
        )
        if not self._closing:
            self._in_background(pool.open())
        return _Entry(pool, version, lease)

    def _limits_of(self, key: ServingKey, version: Version) -> Limits:
        limits = replace(self._limits, slots=version.project.max_concurrency)
        wanted = self._catalog.is_wanted(version, key.deployment)
        if key.deployment is None:
            return limits if wanted else replace(limits, min_workers=0)
        found = self._catalog.created(key.deployment)
        if found is None:  # deleted: what is left of it ends within the limits of the gateway
            return replace(limits, min_workers=0)
        least = _minimum(found)[version.id] if wanted else 0
        return replace(limits, min_workers=least, max_workers=found.max_instances)

    def _budget(self, deployment: str | None) -> WorkerBudget | None:
        """Return what bounds the workers of all versions of a deployment together."""
        if deployment is None:
            return None
        if deployment not in self._budgets:
            found = self._catalog.created(deployment)
            self._budgets[deployment] = WorkerBudget(found.max_instances if found else self._limits.max_workers)
        return self._budgets[deployment]

    def _with_minimum(self) -> Iterator[tuple[Version, str | None]]:
        """Yield the versions that have workers even when nobody asks for them."""
        if self._limits.min_workers:
            yield from ((version, None) for version in self._catalog.current)
        for one in self._catalog.deployments:
            for version, least in _minimum(one).items():
                if least:
                    with contextlib.suppress(ConfigError):  # a damaged version says so to whoever asks for it
                        yield self._catalog.find(version, one.model), one.deployment

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _minimum(deployment: Deployment) -> dict[str, int]:
    """Return how many workers each version of a deployment always has."""
    weights = {share.version: share.weight for share in deployment.traffic}
    return split_minimum(deployment.min_instances, weights)


async def _end(entry: _Entry) -> None:
    try:
        await entry.pool.close()
    finally:
        if entry.lease is not None:
            entry.lease.close()
