"""The state of the gateway: its models and versions, their workers and queues, how long predictions take, and the last.

Neither the inputs and outputs of predictions nor what they print is part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.metrics import Gauges, RecentTimes, ServingKey, VersionMetrics
from pilotlight.types import Status

# The least number of values from which a 95th percentile has a 95 % interval at all.
LEAST_FOR_P95 = 59
_SHOWN_PREDICTIONS = 20


class State(StrEnum):
    """What would happen to a prediction now."""

    READY = "ready"  # a worker takes it
    STARTING = "starting"  # it waits for a worker that is starting
    IDLE = "idle"  # it starts a worker
    CRASH_LOOPING = "crash-looping"  # no worker could be started: it fails


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the last values of something.

    Attributes:
        n: how many values there are.
        p50_s: their median; ``None`` where there are none.
        p95_s: ``None`` where there are too few to tell.
    """

    n: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What some versions do now, and what they have done since the gateway was started.

    Attributes:
        state: what would happen to a prediction.
        ready_workers: workers that take predictions.
        starting_workers: workers that do not take any yet.
        running: predictions on workers.
        waiting: predictions in the queue.
        ended: how many have ended, by how.
        refused: how many were refused, the queue being full.
        cold_share: of those that a worker took, how many had to wait for it to start; ``None`` before the first.
        total_s: from acceptance to the end, of the last 200 predictions of each version.
        first_chunk_s: from acceptance to the first output, of the same.
        cold_start_s: waiting for a worker to start, of those that had to.
    """

    state: State
    ready_workers: int
    starting_workers: int
    running: int
    waiting: int
    ended: Mapping[Status, int]
    refused: int
    cold_share: float | None
    total_s: Percentiles
    first_chunk_s: Percentiles
    cold_start_s: Percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus(Activity):
    """One model with all its versions.

    Attributes:
        model: ``owner/name``.
        version: the id of the current version.
        slots: predictions that one worker of that holds at once.
        last_error: why its workers cannot be started; ``None`` where they can.
    """

    model: str
    version: str
    slots: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus(Activity):
    """One version as one deployment serves it, or as it is served without a deployment.

    Attributes:
        model: ``owner/name``.
        version: its id.
        deployment: ``owner/name``; ``None`` for predictions that were asked for by model or version.
        traffic_share: of new predictions by that deployment, or else by the model, the share that goes to this version.
    """

    model: str
    version: str
    deployment: str | None
    traffic_share: float


@dataclass(frozen=True, slots=True)
class PredictionStatus:
    """One prediction without its inputs and outputs; times in seconds, ``None`` until they are known."""

    id: str
    model: str
    status: Status
    created_at: float
    queue_s: float | None
    cold_start_s: float | None
    predict_s: float | None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """The whole state at the time ``now``, in seconds since 1970; the newest prediction first."""

    now: float
    stopping: bool
    models: tuple[ModelStatus, ...]
    predictions: tuple[PredictionStatus, ...]
    versions: tuple[VersionStatus, ...] = ()


async def snapshot(gateway: Gateway, *, owner: str | None = None) -> GatewayStatus:
    """Return the state as it is now; where an owner is given, with no predictions but theirs."""
    gauges = gateway.gauges_by_key()
    page = await gateway.page(_SHOWN_PREDICTIONS, owner=owner)
    return GatewayStatus(
        now=gateway.clock(),
        stopping=gateway.closing,
        models=tuple(_model(gateway, version, gauges) for version in gateway.versions),
        predictions=tuple(_prediction(record) for _, record in page.records),
        versions=tuple(_versions(gateway, gauges)),
    )


def percentiles(values: Iterable[float]) -> Percentiles:
    """Return percentiles by nearest rank. Pure."""
    ordered = sorted(values)
    n = len(ordered)
    p95_s = ordered[-(-95 * n // 100) - 1] if n >= LEAST_FOR_P95 else None
    return Percentiles(n, ordered[(n - 1) // 2] if n else None, p95_s)


def _model(gateway: Gateway, version: Version, gauges: Mapping[ServingKey, Gauges]) -> ModelStatus:
    now = Gauges.sum(one for key, one in gauges.items() if key.model == version.model)
    last_error = gateway.pool(version).last_error
    return ModelStatus(
        model=version.model,
        version=version.id,
        slots=version.project.max_concurrency,
        last_error=None if last_error is None else str(last_error),
        **_activity(now, gateway.metrics.of_model(version.model)),
    )


def _versions(gateway: Gateway, gauges: Mapping[ServingKey, Gauges]) -> Iterator[VersionStatus]:
    """Yield everything that is served or was, by model and deployment."""
    shares = dict(gateway.traffic())
    keys = {*gauges, *gateway.metrics.counted}
    for key in sorted(keys, key=lambda key: (key.model, key.deployment or "", -shares.get(key, 0.0), key.version)):
        yield VersionStatus(
            model=key.model,
            version=key.version,
            deployment=key.deployment,
            traffic_share=shares.get(key, 0.0),
            **_activity(gauges.get(key, Gauges()), [gateway.metrics.of(key)]),
        )


def _activity(now: Gauges, metrics: Sequence[VersionMetrics]) -> dict[str, Any]:
    """Return the fields of ``Activity``."""
    started, cold = sum(one.started for one in metrics), sum(one.cold for one in metrics)
    return {
        "state": _state(now),
        "ready_workers": now.ready_workers,
        "starting_workers": now.starting_workers,
        "running": now.running,
        "waiting": now.waiting,
        "ended": {status: sum(one.ended[status] for one in metrics) for status in Status if status.terminal},
        "refused": sum(one.refused for one in metrics),
        "cold_share": cold / started if started else None,
        "total_s": _recent(one.total_s for one in metrics),
        "first_chunk_s": _recent(one.first_chunk_s for one in metrics),
        "cold_start_s": _recent(one.cold_start_s for one in metrics),
    }


def _recent(timings: Iterable[RecentTimes]) -> Percentiles:
    return percentiles(chain.from_iterable(one.recent for one in timings))


def _state(now: Gauges) -> State:
    if now.ready_workers:
        return State.READY
    if now.crash_looping:
        return State.CRASH_LOOPING
    return State.STARTING if now.starting_workers else State.IDLE


def _prediction(record: PredictionRecord) -> PredictionStatus:
    times = (record.metrics.get(name) for name in ("queue_s", "cold_start_s", "predict_s"))
    return PredictionStatus(record.id, record.model, record.status, record.created_at, *times)
