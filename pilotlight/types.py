"""Words that every part of pilotlight shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """A prediction's life, in Replicate's words."""

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
        id: as it was asked for.
        status: one of the terminal ones.
        output: what ``predict`` returned; a list of the chunks where it yields.
        error: why it failed; ``None`` otherwise.
        logs: what it printed.
        metrics: numbers by name; ``predict_time`` is in seconds.
    """

    id: str
    status: Status
    output: Any = None
    error: str | None = None
    logs: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
