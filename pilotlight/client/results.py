"""The result of a prediction on any target: output, timing, and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.runtime.events import raise_for_status
from pilotlight.types import Prediction, Status


@dataclass(frozen=True, slots=True)
class Timing:
    """Duration of a prediction's phases in seconds; ``None`` where the target does not report it.

    Attributes:
        total_s: from the request to the end, measured by the client.
        wait_s: before the predictor began: queue and cold start together.
        queue_s: part of ``wait_s``: waiting for a worker that is up.
        cold_start_s: part of ``wait_s``: waiting for a worker that was starting; 0.0 for a warm prediction.
        predict_s: run time of the predictor.
    """

    total_s: float
    wait_s: float | None = None
    queue_s: float | None = None
    cold_start_s: float | None = None
    predict_s: float | None = None

    @property
    def cold(self) -> bool | None:
        """Whether the prediction waited for a worker to start; ``None`` if the target does not report it."""
        return None if self.cold_start_s is None else self.cold_start_s > 0


@dataclass(frozen=True, slots=True)
class Result:
    """A prediction that has ended.

    Attributes:
        id: the target's id for the prediction.
        target: the target string of where it ran.
        status: a terminal status.
        output: what ``predict`` returned; the list of chunks if it yields.
        error: the failure's message; ``None`` otherwise.
        logs: what the predictor printed.
        metrics: values by name, as reported by the target.
        timing: duration of the phases.
        cost_usd: the target's charge according to the price file; ``None`` if it cannot be computed for a single
            prediction, or the hardware is unknown.
    """

    id: str
    target: str
    status: Status
    output: Any = None
    error: str | None = None
    logs: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = field(default_factory=lambda: Timing(0.0))
    cost_usd: float | None = None

    def raise_for_status(self) -> Result:
        """Return this result if the prediction succeeded.

        Raises:
            PredictionFailedError: ``predict`` raised; the error carries the logs.
            PredictionCanceledError: the prediction was cancelled.
        """
        raise_for_status(Prediction(self.id, self.status, error=self.error, logs=self.logs))
        return self


def result_of(prediction: Prediction, *, target: str, timing: Timing, cost_usd: float | None) -> Result:
    """Return the ``Result`` of a prediction that has ended."""
    return Result(
        id=prediction.id,
        target=target,
        status=prediction.status,
        output=prediction.output,
        error=prediction.error,
        logs=prediction.logs,
        metrics=prediction.metrics,
        timing=timing,
        cost_usd=cost_usd,
    )
