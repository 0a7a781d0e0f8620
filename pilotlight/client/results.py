"""The result of a prediction on any target: output, timing, and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.runtime.events import raise_for_status
from pilotlight.types import Prediction, Status


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of a prediction went, in seconds; ``None`` where the target does not say.

    Attributes:
        total_s: from the request to the end, measured here.
        wait_s: before the predictor began: the queue and the cold start together.
        queue_s: of those, the wait for a worker that is up.
        cold_start_s: of those, the wait for a worker that was starting; 0.0 is a warm prediction.
        predict_s: what the predictor took.
    """

    total_s: float
    wait_s: float | None = None
    queue_s: float | None = None
    cold_start_s: float | None = None
    predict_s: float | None = None

    @property
    def cold(self) -> bool | None:
        """Whether it waited for a worker to start; ``None`` where nobody can tell."""
        return None if self.cold_start_s is None else self.cold_start_s > 0


@dataclass(frozen=True, slots=True)
class Result:
    """A prediction that has ended.

    Attributes:
        id: the target's name for it.
        target: where it ran, as a target string.
        status: one of the terminal ones.
        output: what ``predict`` returned; a list of the chunks where it yields.
        error: why it failed; ``None`` otherwise.
        logs: what it printed.
        metrics: numbers by name, as the target gave them.
        timing: where the time went.
        cost_usd: what the target charges for it, by the price file; ``None`` where that cannot be told of one
            prediction, or the hardware is not known.
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
        """The result itself if it succeeded.

        Raises:
            PredictionFailedError: ``predict`` raised; carries the logs.
            PredictionCanceledError: somebody cancelled it.
        """
        raise_for_status(Prediction(self.id, self.status, error=self.error, logs=self.logs))
        return self


def result_of(prediction: Prediction, *, target: str, timing: Timing, cost_usd: float | None) -> Result:
    """A prediction that has ended, with what its client knows of it."""
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
