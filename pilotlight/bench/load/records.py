"""The record of one request, and many records as the columns of a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pilotlight.bench.load.results import RequestFailure, RequestOutcome, Requests
from pilotlight.types import Prediction

__all__ = ["RequestRecord", "columns", "failures"]

_SHOWN_FAILURES = 10
_LONGEST_MESSAGE = 300
_DIGITS = 6  # of a second: the resolution of the clock, which keeps the file small


@dataclass(slots=True)
class RequestRecord:
    """One request; times on the monotonic clock. See ``results.Requests`` for the attributes."""

    intended: float
    outcome: RequestOutcome = "interrupted"
    message: str = ""
    http_status: int | None = None
    started: float | None = None
    sent: float | None = None
    done: float | None = None
    refusals: int = 0
    outputs_at: list[float] = field(default_factory=list)
    outputs: int = 0
    tokens: int | None = None

    def end(self, outcome: RequestOutcome, message: str = "") -> None:
        """Record the outcome, with a message unless it succeeded."""
        self.outcome = outcome
        self.message = message[:_LONGEST_MESSAGE]

    def finish(self, prediction: Prediction) -> None:
        """Record an answer with a prediction, which may have failed."""
        output = prediction.output
        self.outputs = len(self.outputs_at) or _outputs(output)
        count = prediction.metrics.get("output_token_count")
        self.tokens = int(count) if isinstance(count, int | float) else None
        self.end(_OUTCOMES[prediction.status.value], prediction.error or "")


_OUTCOMES: dict[str, RequestOutcome] = {"succeeded": "succeeded", "failed": "failed", "canceled": "canceled"}


def columns(records: Sequence[RequestRecord], began: float) -> Requests:
    """Return a step's records as columns, with times since it ``began``, ordered by their intended starts."""
    ordered = sorted(records, key=lambda record: record.intended)

    def since(time: float | None) -> float | None:
        return None if time is None else round(time - began, _DIGITS)

    return Requests(
        outcome=tuple(one.outcome for one in ordered),
        http_status=tuple(one.http_status for one in ordered),
        intended_s=tuple(round(one.intended - began, _DIGITS) for one in ordered),
        started_s=tuple(since(one.started) for one in ordered),
        sent_s=tuple(since(one.sent) for one in ordered),
        done_s=tuple(since(one.done) for one in ordered),
        refusals=tuple(one.refusals for one in ordered),
        output_s=tuple(tuple(round(time - began, _DIGITS) for time in one.outputs_at) for one in ordered),
        outputs=tuple(one.outputs for one in ordered),
        tokens=tuple(one.tokens for one in ordered),
    )


def failures(records: Sequence[RequestRecord]) -> tuple[RequestFailure, ...]:
    """Return the most frequent failures of requests."""
    seen = Counter((one.outcome, one.message) for one in records if one.outcome != "succeeded" and one.message)
    return tuple(
        RequestFailure(outcome=outcome, message=message, count=count)
        for (outcome, message), count in seen.most_common(_SHOWN_FAILURES)
    )


def _outputs(output: object) -> int:
    if output is None:
        return 0
    return len(output) if isinstance(output, list) else 1
