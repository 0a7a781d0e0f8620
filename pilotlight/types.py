"""Types that every part of pilotlight shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Status of a prediction, with Replicate's names."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction that has ended.

    Attributes:
        id: the id in the request.
        status: a terminal status.
        output: what ``predict`` returned; the list of chunks if it yields.
        error: the failure's message; ``None`` otherwise.
        logs: what the predictor printed.
        metrics: values by name; ``predict_time`` is in seconds.
    """

    id: str
    status: Status
    output: Any = None
    error: str | None = None
    logs: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
