"""Describe the failure of a worker for a result file."""

from __future__ import annotations

from pilotlight.bench.harness.documents import Outcome
from pilotlight.errors import (
    PredictionFailedError,
    SetupFailedError,
    WorkerError,
    WorkerMemoryError,
    WorkerTimeoutError,
)

__all__ = ["outcome_of", "words_of"]

_WORDS_OF_LOGS = 2000


def outcome_of(error: WorkerError) -> Outcome:
    """Return the kind of failure."""
    match error:
        case SetupFailedError():
            return "setup_failed"
        case WorkerTimeoutError():
            return "timed_out"
        case WorkerMemoryError():
            return "out_of_memory"
        case PredictionFailedError():
            return "prediction_failed"
        case _:
            return "crashed"


def words_of(error: WorkerError) -> str:
    """Return the message and the end of the worker's output."""
    logs = error.logs[-_WORDS_OF_LOGS:].strip()
    return f"{error}\n{logs}" if logs else str(error)
