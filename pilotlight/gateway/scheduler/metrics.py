"""What the gateway counts, as Prometheus text. The names are those that people already chart for vLLM.

What vLLM has no name for begins with ``pilotlight:``. Every line is labelled with the model.
"""

from __future__ import annotations

import bisect
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.types import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

# Enough for a 95th percentile, and few enough to be of now.
_RECENT = 200


class Histogram:
    """Counts of values up to each bound, their sum and their number; and the last values themselves."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.recent: deque[float] = deque(maxlen=_RECENT)
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value
        self.recent.append(value)

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """The lines of one histogram."""
        seen = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {seen}'
        yield f"{name}_sum{{{labels}}} {self.total}"
        yield f"{name}_count{{{labels}}} {seen}"


@dataclass(slots=True)
class Metrics:
    """What one version has done since the gateway started."""

    first_chunk_s: Histogram = field(default_factory=lambda: Histogram(_REQUEST_S))
    between_chunks_s: Histogram = field(default_factory=lambda: Histogram(_TOKEN_S))
    queue_s: Histogram = field(default_factory=lambda: Histogram(_REQUEST_S))
    predict_s: Histogram = field(default_factory=lambda: Histogram(_REQUEST_S))
    total_s: Histogram = field(default_factory=lambda: Histogram(_REQUEST_S))
    cold_start_s: Histogram = field(default_factory=lambda: Histogram(_REQUEST_S))
    worker_start_s: Histogram = field(default_factory=lambda: Histogram(_REQUEST_S))
    ended: Counter[Status] = field(default_factory=Counter)
    refused: int = 0
    prompt_tokens: float = 0
    generation_tokens: float = 0

    def began(self, record: PredictionRecord) -> None:
        """A worker has taken it."""
        self.queue_s.observe(record.metrics["queue_s"])
        if record.metrics["cold_start_s"] > 0:
            self.cold_start_s.observe(record.metrics["cold_start_s"])

    def completed(self, record: PredictionRecord) -> None:
        """It has ended, whichever way."""
        self.ended[record.status] += 1
        self.total_s.observe(record.metrics["total_time"])
        if record.started_at is not None:
            self.predict_s.observe(record.metrics["predict_s"])
        self.prompt_tokens += _number(record.metrics.get("input_token_count"))
        self.generation_tokens += _number(record.metrics.get("output_token_count"))

    @property
    def mean_predict_s(self) -> float:
        """Of all that have run; 0 before the first."""
        return self.predict_s.total / max(1, sum(self.predict_s.counts))

    @property
    def cold_share(self) -> float | None:
        """Of the predictions that a worker took, those that waited for it to start; ``None`` before the first."""
        began = sum(self.queue_s.counts)
        return sum(self.cold_start_s.counts) / began if began else None


@dataclass(frozen=True, slots=True)
class Gauges:
    """How one version stands now."""

    running: int
    waiting: int
    ready_workers: int
    starting_workers: int
    parked: bool


_HISTOGRAMS = (
    ("vllm:time_to_first_token_seconds", "first_chunk_s", "From acceptance to the first chunk of output."),
    ("vllm:inter_token_latency_seconds", "between_chunks_s", "From one chunk of output to the next."),
    ("vllm:request_queue_time_seconds", "queue_s", "Waiting for a slot, without the wait for a worker to start."),
    ("vllm:request_inference_time_seconds", "predict_s", "On a worker."),
    ("vllm:e2e_request_latency_seconds", "total_s", "From acceptance to the end."),
    ("pilotlight:cold_start_seconds", "cold_start_s", "Waiting for a worker to start, of those that had to."),
    ("pilotlight:worker_start_seconds", "worker_start_s", "From the start of a worker until it was ready."),
)
_NUMBERS = (
    ("vllm:num_requests_running", "gauge", "Predictions on workers."),
    ("vllm:num_requests_waiting", "gauge", "Predictions waiting for a slot."),
    ("vllm:prompt_tokens_total", "counter", "Of the predictions that report input_token_count."),
    ("vllm:generation_tokens_total", "counter", "Of the predictions that report output_token_count."),
    ("pilotlight:requests_total", "counter", "Predictions that have ended, by how."),
    ("pilotlight:requests_refused_total", "counter", "Predictions refused because too many were waiting."),
    ("pilotlight:cold_requests_share", "gauge", "Of the predictions that a worker took, those that waited for it."),
    ("pilotlight:workers", "gauge", "Workers, by state."),
    ("pilotlight:parked", "gauge", "1 while no worker can be started."),
)


def render(models: Mapping[str, tuple[Metrics, Gauges]]) -> str:
    """The whole text, for every model by its name."""
    lines = []
    for name, attribute, text in _HISTOGRAMS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
        for model, (metrics, _) in models.items():
            lines += getattr(metrics, attribute).lines(name, _label(model))
    values = {model: _values(metrics, gauges) for model, (metrics, gauges) in models.items()}
    for name, kind, text in _NUMBERS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for model, found in values.items():
            lines += [f"{name}{{{_label(model)}{extra}}} {value}" for extra, value in found[name]]
    return "\n".join([*lines, ""])


def _values(metrics: Metrics, gauges: Gauges) -> dict[str, list[tuple[str, float]]]:
    """By name, the further labels and the value of every line."""
    ended = [s for s in Status if s.terminal]
    return {
        "vllm:num_requests_running": [("", gauges.running)],
        "vllm:num_requests_waiting": [("", gauges.waiting)],
        "vllm:prompt_tokens_total": [("", metrics.prompt_tokens)],
        "vllm:generation_tokens_total": [("", metrics.generation_tokens)],
        "pilotlight:requests_total": [(f',status="{status}"', metrics.ended[status]) for status in ended],
        "pilotlight:requests_refused_total": [("", metrics.refused)],
        "pilotlight:cold_requests_share": [("", metrics.cold_share or 0.0)],
        "pilotlight:workers": [
            (',state="ready"', gauges.ready_workers),
            (',state="starting"', gauges.starting_workers),
        ],
        "pilotlight:parked": [("", int(gauges.parked))],
    }


def _label(model: str) -> str:
    escaped = model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'model_name="{escaped}"'


def _number(value: Any) -> float:
    """What a predictor reports may be anything."""
    return value if isinstance(value, int | float) and value > 0 else 0
