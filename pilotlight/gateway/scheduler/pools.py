"""The pool of every version that is asked for, made when it is, and ended when nothing needs it any more.

A version has one pool for those who ask for it or for its model, and one for each deployment that serves it, which has
limits of its own. What is superseded keeps its pool until its last prediction has ended and its workers have idled out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pilotlight.errors import ConfigError
from pilotlight.gateway.clock import Clock
from pilotlight.gateway.registry.catalog import Catalog
from pilotlight.gateway.registry.gc import Lease
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.metrics import Gauges, Metrics
from pilotlight.gateway.scheduler.queue import Pool, Saver
from pilotlight.runtime import SupervisorOptions, WorkerLike


class InputsLike(Protocol):
    """What is done about inputs: ``fetching.Inputs``."""

    def check(self, version: Version, inputs: Mapping[str, Any], /) -> None:
        """Before a prediction is accepted; raises an ``InvalidInputError``."""

    def ready(
        self, version: Version, inputs: Mapping[str, Any], /
    ) -> contextlib.AbstractAsyncContextManager[Mapping[str, Any]]:
        """What its worker gets, while it runs."""


@dataclass(frozen=True, slots=True)
class _Key:
    """Model and id of a version, and the deployment that it is asked for by, ``None`` without."""

    model: str
    version: str
    deployment: str | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A pool, its version, and what keeps the version's files from being removed."""

    pool: Pool
    version: Version
    lease: Lease | None


class Pools:
    """All of them, from ``open`` to ``close``.

    Args:
        catalog: says what is current, and how deployments scale.
        limits: of everything but deployments; ``slots`` are the project's own.
        factory: makes a worker for a version.
        save: keeps every step of a prediction.
        clock: the gateway's.
        supervision: how each worker is kept up.
        inputs: what is done about inputs before they reach a worker.
    """

    def __init__(
        self,
        catalog: Catalog,
        limits: Limits,
        factory: Callable[[Version], WorkerLike],
        *,
        save: Saver,
        clock: Clock,
        supervision: SupervisorOptions | None = None,
        inputs: InputsLike | None = None,
    ) -> None:
        self._catalog = catalog
        self._limits = limits
        self._factory = factory
        self._save = save
        self._clock = clock
        self._supervision = supervision
        self._inputs = inputs
        self._entries: dict[_Key, _Entry] = {}
        self._metrics: dict[str, Metrics] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = False

    def get(self, version: Version, deployment: str | None = None) -> Pool:
        """The pool of a version, made and opened if there is none yet.

        Args:
            version: one of the catalog's.
            deployment: the name of a deployment that was created; a project's own is the project itself.
        """
        key = _Key(version.model, version.id, None if version in self._catalog.projects else deployment)
        if key not in self._entries:
            self._entries[key] = self._made(key, version)
        return self._entries[key].pool

    def adjust(self) -> None:
        """Follows the catalog: new limits, pools whose workers are always there, and the end of what nobody needs."""
        if self._closing:
            return
        for version, deployment in self._always_there():
            self.get(version, deployment)
        for key, entry in list(self._entries.items()):
            limits = self._wanted_limits(key, entry.version)
            if limits != entry.pool.limits:
                entry.pool.resize(limits)
            if entry.pool.idle and not self._catalog.is_wanted(entry.version, key.deployment):
                del self._entries[key]
                self._keep(asyncio.create_task(_end(entry)))

    def metrics(self) -> dict[str, tuple[Metrics, Gauges]]:
        """By model, over all its versions: what was counted, and how it stands."""
        models = [model.model for model in self._catalog.models if model.current]
        return {model: (self._counted(model), self.gauges(model)) for model in models}

    def gauges(self, model: str | None = None) -> Gauges:
        """How a model stands, or all of them together."""
        pools = [entry.pool.gauges for key, entry in self._entries.items() if model in (None, key.model)]
        return Gauges(
            running=sum(one.running for one in pools),
            waiting=sum(one.waiting for one in pools),
            ready_workers=sum(one.ready_workers for one in pools),
            starting_workers=sum(one.starting_workers for one in pools),
            parked=any(one.parked for one in pools),
        )

    async def drain(self, grace_s: float) -> None:
        """``Pool.drain`` of all; none is made from now on."""
        self._closing = True
        await asyncio.gather(*(entry.pool.drain(grace_s) for entry in self._entries.values()))

    async def close(self) -> None:
        """``Pool.close`` of all."""
        self._closing = True
        await asyncio.gather(*(_end(entry) for entry in self._entries.values()), *self._ending)

    def _made(self, key: _Key, version: Version) -> _Entry:
        lease = None
        if version.pushed:
            with contextlib.suppress(OSError):  # without a folder no worker will start, and that says why
                lease = Lease(version.project.root)
        # Most versions take no files, and their inputs stay as they are.
        inputs = self._inputs if version.validator.files else None
        pool = Pool(
            lambda: self._factory(version),
            self._wanted_limits(key, version),
            save=self._save,
            clock=self._clock,
            supervision=self._supervision,
            prepare=None if inputs is None else functools.partial(inputs.ready, version),
            metrics=self._counted(version.model),
        )
        if not self._closing:
            self._keep(asyncio.create_task(pool.open()))
        return _Entry(pool, version, lease)

    def _wanted_limits(self, key: _Key, version: Version) -> Limits:
        limits = replace(self._limits, slots=version.project.max_concurrency)
        if not self._catalog.is_wanted(version, key.deployment):
            return replace(limits, min_workers=0)
        if key.deployment is None:
            return limits
        found = self._catalog.deployment(key.deployment)
        return replace(limits, min_workers=found.min_instances, max_workers=found.max_instances)

    def _always_there(self) -> Iterator[tuple[Version, str | None]]:
        """What has workers even when nobody asks."""
        if self._limits.min_workers:
            yield from ((version, None) for version in self._catalog.current)
        for one in self._catalog.deployments:
            if one.min_instances:
                with contextlib.suppress(ConfigError):  # a damaged version says so to whoever asks for it
                    yield self._catalog.find(one.version, one.model), one.deployment

    def _counted(self, model: str) -> Metrics:
        return self._metrics.setdefault(model, Metrics())

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _end(entry: _Entry) -> None:
    try:
        await entry.pool.close()
    finally:
        if entry.lease is not None:
            entry.lease.close()
