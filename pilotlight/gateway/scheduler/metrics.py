"""What the gateway counts and measures, for Prometheus. The names are those that people already chart for vLLM.

What vLLM has no name for begins with ``pilotlight:``. Every series has the labels ``model_name``, ``version`` and
``deployment`` (empty for predictions that were asked for by model or version), so that two versions can be compared.
Each gateway has a registry of its own.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.listeners import NullListener
from pilotlight.types import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABELS = ("model_name", "version", "deployment")
_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

# Enough for a 95th percentile, and few enough to be of now.
_RECENT = 200


@dataclass(frozen=True, slots=True)
class ServingKey:
    """A version of a model as a deployment serves it; ``deployment`` is ``None`` where it is served without one."""

    model: str
    version: str
    deployment: str | None

    @property
    def labels(self) -> tuple[str, str, str]:
        """The values of ``_LABELS``."""
        return self.model, self.version, self.deployment or ""


@dataclass(frozen=True, slots=True)
class Gauges:
    """The state of one queue and its workers at one moment.

    Attributes:
        running: predictions on workers.
        waiting: predictions in the queue.
        ready_workers: workers that take predictions.
        starting_workers: workers that do not take any yet.
        crash_looping: whether no worker can be started.
    """

    running: int = 0
    waiting: int = 0
    ready_workers: int = 0
    starting_workers: int = 0
    crash_looping: bool = False

    @classmethod
    def sum(cls, gauges: Iterable[Gauges]) -> Gauges:
        """Several queues together; crash-looping when any of them is."""
        total = cls()
        for one in gauges:
            total = cls(
                running=total.running + one.running,
                waiting=total.waiting + one.waiting,
                ready_workers=total.ready_workers + one.ready_workers,
                starting_workers=total.starting_workers + one.starting_workers,
                crash_looping=total.crash_looping or one.crash_looping,
            )
        return total


class _Observer(Protocol):
    """One histogram with its labels."""

    def observe(self, amount: float) -> None: ...


class RecentTimes:
    """A histogram of times, and the last ones for percentiles."""

    __slots__ = ("_histogram", "recent")

    def __init__(self, histogram: _Observer) -> None:
        self._histogram = histogram
        self.recent: deque[float] = deque(maxlen=_RECENT)

    def observe(self, value_s: float) -> None:
        self._histogram.observe(value_s)
        self.recent.append(value_s)


@dataclass(slots=True, kw_only=True)
class VersionMetrics:
    """What one version has done, as one deployment or as none, since the gateway started.

    Attributes:
        first_chunk_s: from acceptance to the first chunk of output.
        predict_s: on a worker.
        total_s: from acceptance to the end.
        cold_start_s: waiting for a worker to start, of those that had to.
        between_chunks_s: from one chunk of output to the next.
        queue_s: waiting for a slot.
        worker_start_s: from the start of a worker until it was ready.
        started: predictions that a worker took; ``cold`` of them waited for it to start.
        ended: predictions by how they ended.
        refused: predictions refused because the queue was full.
        prompt_tokens: of the predictions that report them; so ``generation_tokens``.
    """

    first_chunk_s: RecentTimes
    predict_s: RecentTimes
    total_s: RecentTimes
    cold_start_s: RecentTimes
    between_chunks_s: _Observer
    queue_s: _Observer
    worker_start_s: _Observer
    started: int = 0
    cold: int = 0
    ended: Counter[Status] = field(default_factory=Counter)
    refused: int = 0
    prompt_tokens: float = 0
    generation_tokens: float = 0

    @property
    def mean_predict_s(self) -> float:
        """The mean of the last times on a worker; 0 before the first."""
        return statistics.fmean(self.predict_s.recent) if self.predict_s.recent else 0.0

    @property
    def cold_share(self) -> float | None:
        """Of the predictions that a worker took, the share that waited for it to start; ``None`` before the first."""
        return self.cold / self.started if self.started else None


_HISTOGRAMS = (
    ("first_chunk_s", "vllm:time_to_first_token_seconds", "From acceptance to the first chunk of output.", _REQUEST_S),
    ("between_chunks_s", "vllm:inter_token_latency_seconds", "From one chunk of output to the next.", _TOKEN_S),
    (
        "queue_s",
        "vllm:request_queue_time_seconds",
        "Waiting for a slot, without the wait for a worker to start.",
        _REQUEST_S,
    ),
    ("predict_s", "vllm:request_inference_time_seconds", "On a worker.", _REQUEST_S),
    ("total_s", "vllm:e2e_request_latency_seconds", "From acceptance to the end.", _REQUEST_S),
    (
        "cold_start_s",
        "pilotlight:cold_start_seconds",
        "Waiting for a worker to start, of those that had to.",
        _REQUEST_S,
    ),
    ("worker_start_s", "pilotlight:worker_start_seconds", "From the start of a worker until it was ready.", _REQUEST_S),
)
_WITH_RECENT = {"first_chunk_s", "predict_s", "total_s", "cold_start_s"}


class Metrics(NullListener):
    """All metrics of one gateway, by version and deployment.

    Args:
        key_of: which version and deployment a prediction counts for.
        gauges: the state of what is served now.
    """

    def __init__(
        self,
        key_of: Callable[[PredictionRecord], ServingKey],
        gauges: Callable[[], Mapping[ServingKey, Gauges]] = dict,
    ) -> None:
        self._key_of = key_of
        self._gauges = gauges
        self._versions: dict[ServingKey, VersionMetrics] = {}
        self._streaming: dict[str, tuple[VersionMetrics, float | None]] = {}
        self.registry = CollectorRegistry()
        self._histograms = {
            attribute: Histogram(name, text, _LABELS, buckets=buckets, registry=self.registry)
            for attribute, name, text, buckets in _HISTOGRAMS
        }
        self.registry.register(self)

    def of(self, key: ServingKey) -> VersionMetrics:
        """The metrics of one version and deployment, made when they are first asked for."""
        found = self._versions.get(key)
        if found is None:
            timings: dict[str, Any] = {name: one.labels(*key.labels) for name, one in self._histograms.items()}
            timings |= {name: RecentTimes(timings[name]) for name in _WITH_RECENT}
            found = self._versions[key] = VersionMetrics(**timings)
        return found

    @property
    def counted(self) -> list[ServingKey]:
        """Return what anything was counted for."""
        return list(self._versions)

    def of_model(self, model: str) -> list[VersionMetrics]:
        """The metrics of all versions of a model, under whichever deployment."""
        return [metrics for key, metrics in self._versions.items() if key.model == model]

    def forget(self, key: ServingKey) -> None:
        """Remove what was counted of a version that has been deleted."""
        if self._versions.pop(key, None) is not None:
            for histogram in self._histograms.values():
                histogram.remove(*key.labels)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def refused(self, record: PredictionRecord) -> None:
        self.of(self._key_of(record)).refused += 1

    def started(self, record: PredictionRecord) -> None:
        metrics = self.of(self._key_of(record))
        self._streaming[record.id] = metrics, None
        metrics.started += 1
        metrics.queue_s.observe(record.metrics["queue_s"])
        if record.metrics["cold_start_s"] > 0:
            metrics.cold += 1
            metrics.cold_start_s.observe(record.metrics["cold_start_s"])

    def output(self, record: PredictionRecord, _: Any, at: float) -> None:
        metrics, last_at = self._streaming[record.id]
        if last_at is None:
            metrics.first_chunk_s.observe(at - record.created_at)
        else:
            metrics.between_chunks_s.observe(at - last_at)
        self._streaming[record.id] = metrics, at

    def ended(self, record: PredictionRecord) -> None:
        self._streaming.pop(record.id, None)
        metrics = self.of(self._key_of(record))
        metrics.ended[record.status] += 1
        metrics.total_s.observe(record.metrics["total_time"])
        if record.started_at is not None:
            metrics.predict_s.observe(record.metrics["predict_s"])
        metrics.prompt_tokens += _number(record.metrics.get("input_token_count"))
        metrics.generation_tokens += _number(record.metrics.get("output_token_count"))

    def collect(self) -> Iterator[Metric]:
        """Everything that is no histogram, as ``CollectorRegistry`` asks for it."""
        gauges = self._gauges()
        for key in gauges:
            self.of(key)  # what has not been asked for yet is there with zeros
        yield from _of_now(gauges)
        yield from _counted(self._versions)


def _of_now(gauges: Mapping[ServingKey, Gauges]) -> Iterator[Metric]:
    running = GaugeMetricFamily("vllm:num_requests_running", "Predictions on workers.", labels=_LABELS)
    waiting = GaugeMetricFamily("vllm:num_requests_waiting", "Predictions waiting for a slot.", labels=_LABELS)
    workers = GaugeMetricFamily("pilotlight:workers", "Workers, by state.", labels=(*_LABELS, "state"))
    looping = GaugeMetricFamily("pilotlight:crash_looping", "1 while no worker can be started.", labels=_LABELS)
    for key, now in gauges.items():
        running.add_metric(key.labels, now.running)
        waiting.add_metric(key.labels, now.waiting)
        workers.add_metric((*key.labels, "ready"), now.ready_workers)
        workers.add_metric((*key.labels, "starting"), now.starting_workers)
        looping.add_metric(key.labels, int(now.crash_looping))
    yield from (running, waiting, workers, looping)


def _counted(versions: Mapping[ServingKey, VersionMetrics]) -> Iterator[Metric]:
    prompt = CounterMetricFamily(
        "vllm:prompt_tokens", "Tokens of the predictions that report input_token_count.", labels=_LABELS
    )
    generated = CounterMetricFamily(
        "vllm:generation_tokens", "Tokens of the predictions that report output_token_count.", labels=_LABELS
    )
    ended = CounterMetricFamily(
        "pilotlight:requests", "Predictions that have ended, by how.", labels=(*_LABELS, "status")
    )
    refused = CounterMetricFamily(
        "pilotlight:requests_refused", "Predictions refused because too many were waiting.", labels=_LABELS
    )
    cold = GaugeMetricFamily(
        "pilotlight:cold_requests_share",
        "Of the predictions that a worker took, the share that waited for it to start.",
        labels=_LABELS,
    )
    for key, metrics in versions.items():
        prompt.add_metric(key.labels, metrics.prompt_tokens)
        generated.add_metric(key.labels, metrics.generation_tokens)
        for status in Status:
            if status.terminal:
                ended.add_metric((*key.labels, status), metrics.ended[status])
        refused.add_metric(key.labels, metrics.refused)
        cold.add_metric(key.labels, metrics.cold_share or 0.0)
    yield from (prompt, generated, ended, refused, cold)


def _number(value: Any) -> float:
    """A positive number as it is and anything else as 0: a predictor may report whatever it likes."""
    return value if isinstance(value, int | float) and value > 0 else 0
