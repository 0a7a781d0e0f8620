"""How the gateway stands: its models, their workers and queues, how long predictions take, and the last of them.

Nothing that was put in or that came out of a prediction is here, nor what it printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.metrics import Gauges, Histogram, Metrics
from pilotlight.types import Status

# The least number of values from which a 95th percentile has a 95 % interval at all.
_LEAST_FOR_P95 = 59
_SHOWN_PREDICTIONS = 20


class State(StrEnum):
    """What a model would do with a prediction now."""

    READY = "ready"  # a worker takes it
    STARTING = "starting"  # it waits for a worker that is on its way
    SLEEPING = "sleeping"  # it wakes a worker
    PARKED = "parked"  # no worker could be started: it fails


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the last values of something.

    Attributes:
        n: how many there are.
        p50_s: their median; ``None`` where there are none.
        p95_s: ``None`` where there are too few to tell.
    """

    n: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model, since the gateway was started.

    Attributes:
        model: ``owner/name``.
        version: the id of the current one.
        state: as above.
        ready_workers: those that take predictions.
        starting_workers: those that do not yet.
        slots: predictions that one worker holds at once.
        running: predictions on workers.
        waiting: predictions in the queue.
        ended: how many have ended, by how.
        refused: how many were refused, the queue being full.
        cold_share: of those that a worker took, how many had to wait for it to start; ``None`` before the first.
        total_s: from acceptance to the end.
        first_chunk_s: from acceptance to the first output.
        cold_start_s: waiting for a worker to start, of those that had to.
    """

    model: str
    version: str
    state: State
    ready_workers: int
    starting_workers: int
    slots: int
    running: int
    waiting: int
    ended: dict[Status, int]
    refused: int
    cold_share: float | None
    total_s: Percentiles
    first_chunk_s: Percentiles
    cold_start_s: Percentiles


@dataclass(frozen=True, slots=True)
class PredictionStatus:
    """One prediction, without what went in and came out; times in seconds, ``None`` until they are known."""

    id: str
    model: str
    status: Status
    created_at: float
    queue_s: float | None
    cold_start_s: float | None
    predict_s: float | None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """All of it, at the time ``now``, in seconds since 1970; the newest prediction first."""

    now: float
    stopping: bool
    models: tuple[ModelStatus, ...]
    predictions: tuple[PredictionStatus, ...]


async def look(gateway: Gateway) -> GatewayStatus:
    """How it stands now."""
    found = gateway.metrics()
    models = tuple(_model(one, *found[one.model]) for one in gateway.versions if one.model in found)
    page = await gateway.page(_SHOWN_PREDICTIONS)
    return GatewayStatus(gateway.clock(), gateway.closing, models, tuple(_prediction(one) for _, one in page.records))


def spread(values: Sequence[float]) -> Percentiles:
    """Percentiles by nearest rank. Pure."""
    ordered = sorted(values)
    n = len(ordered)
    p95_s = ordered[-(-95 * n // 100) - 1] if n >= _LEAST_FOR_P95 else None
    return Percentiles(n, ordered[(n - 1) // 2] if n else None, p95_s)


def _model(version: Version, metrics: Metrics, gauges: Gauges) -> ModelStatus:
    return ModelStatus(
        model=version.model,
        version=version.id,
        state=_state(gauges),
        ready_workers=gauges.ready_workers,
        starting_workers=gauges.starting_workers,
        slots=version.project.max_concurrency,
        running=gauges.running,
        waiting=gauges.waiting,
        ended={status: metrics.ended[status] for status in Status if status.terminal},
        refused=metrics.refused,
        cold_share=metrics.cold_share,
        total_s=_spread(metrics.total_s),
        first_chunk_s=_spread(metrics.first_chunk_s),
        cold_start_s=_spread(metrics.cold_start_s),
    )


def _spread(histogram: Histogram) -> Percentiles:
    return spread(histogram.recent)


def _state(gauges: Gauges) -> State:
    if gauges.ready_workers:
        return State.READY
    if gauges.parked:
        return State.PARKED
    return State.STARTING if gauges.starting_workers else State.SLEEPING


def _prediction(record: PredictionRecord) -> PredictionStatus:
    times = (record.metrics.get(name) for name in ("queue_s", "cold_start_s", "predict_s"))
    return PredictionStatus(record.id, record.model, record.status, record.created_at, *times)
