"""The life of a prediction as a state machine. Pure: every time is an argument, every step returns a new record.

    starting ──begin──> processing ──finish──> succeeded | failed | canceled
        │                    └──────fail─────> failed
        ├──fail────> failed
        └──cancel──> canceled

A terminal record never changes. Of a gateway that was killed, ``recover`` leaves what was waiting as it was, to be run,
and reports what was running as failed: nobody can know how far it had come, and running it twice may do harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pilotlight.types import Prediction, Status

INTERRUPTED = (
    "The gateway ended while this prediction ran, so its result is lost. It was not run again, because nobody can know "
    "how far it had come; create it again if that does no harm."
)


# What a list leaves out of a prediction where it is long, and from which length on.
LISTED = ("input", "output", "logs")
LONGEST_LISTED = 4096


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """One prediction, as it is stored and shown.

    Attributes:
        id: 26 letters and digits.
        model: ``owner/name``.
        version: 64 hex digits.
        deployment: ``owner/name`` of the deployment that it was requested by, else ``None``.
        input: as validated: without the inputs that were null, and with stars for secrets.
        created_at: when it was accepted; all times are seconds since 1970.
        stream_key: the secret in its stream's URL, instead of a token.
        metrics: numbers by name. The gateway's own are ``queue_s``, ``cold_start_s`` and ``predict_s``, which together
            are the time from ``created_at`` to ``completed_at``; ``predict_time`` and ``total_time`` as Replicate's.
        deadline: when it is cancelled if it has not ended; ``None`` for never.
        left_out: in a list, those of ``LISTED`` that are too long for it, and null or empty here.
        data_removed: whether its input, output and logs were removed some time after its end.
        owner: the id of the token that created it; ``None`` where none was needed.
    """

    id: str
    model: str
    version: str
    deployment: str | None
    input: Mapping[str, Any]
    created_at: float
    stream_key: str
    status: Status = Status.STARTING
    started_at: float | None = None
    completed_at: float | None = None
    output: Any = None
    error: str | None = None
    logs: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data_removed: bool = False
    deadline: float | None = None
    left_out: tuple[str, ...] = ()
    owner: str | None = None


def begin(record: PredictionRecord, now: float, *, cold_start_s: float = 0.0) -> PredictionRecord:
    """Give it to a worker.

    Args:
        record: a starting one.
        now: the time.
        cold_start_s: how much of its wait that worker was still starting; the rest of the wait is ``queue_s``.
    """
    assert record.status is Status.STARTING, f"this is a bug: a prediction that is {record.status} cannot begin"
    started_at = max(now, record.created_at)
    waited_s = started_at - record.created_at
    cold_start_s = min(max(cold_start_s, 0.0), waited_s)
    metrics = {"queue_s": waited_s - cold_start_s, "cold_start_s": cold_start_s}
    return replace(record, status=Status.PROCESSING, started_at=started_at, metrics=metrics)


def finish(record: PredictionRecord, prediction: Prediction, now: float) -> PredictionRecord:
    """End it as its worker has ended it; of two metrics with one name the gateway's is kept."""
    assert record.status is Status.PROCESSING, f"this is a bug: a prediction that is {record.status} cannot finish"
    error = prediction.error
    if prediction.status is Status.FAILED and not error:
        error = "the prediction failed without a message"
    return _completed(
        record,
        now,
        metrics={**prediction.metrics, **record.metrics},
        status=prediction.status,
        output=prediction.output,
        error=error if prediction.status is Status.FAILED else None,
        logs=prediction.logs or record.logs,
    )


def fail(record: PredictionRecord, error: str, now: float, *, logs: str = "") -> PredictionRecord:
    """End it as failed, as it cannot run or its worker broke; ``logs`` are what is known to have been printed."""
    assert not record.status.terminal, f"this is a bug: a prediction that is {record.status} cannot fail"
    return _completed(record, now, metrics=record.metrics, status=Status.FAILED, error=error, logs=logs or record.logs)


def cancel(record: PredictionRecord, now: float) -> PredictionRecord:
    """Cancel it before a worker has taken it; one that runs ends through ``finish``."""
    assert record.status is Status.STARTING, f"this is a bug: a prediction that is {record.status} has to finish"
    return _completed(record, now, metrics=record.metrics, status=Status.CANCELED)


def recover(record: PredictionRecord, now: float) -> PredictionRecord:
    """Return what the next gateway does with the record of the one before it: fail it if it was running."""
    return fail(record, INTERRUPTED, now) if record.status is Status.PROCESSING else record


def _completed(record: PredictionRecord, now: float, *, metrics: Mapping[str, Any], **changes: Any) -> PredictionRecord:
    completed_at = max(now, record.started_at or record.created_at)
    total_s = completed_at - record.created_at
    ours: dict[str, float] = {"total_time": total_s}
    if record.started_at is None:
        ours |= {"queue_s": total_s, "cold_start_s": 0.0, "predict_s": 0.0}
    else:
        predict_s = completed_at - record.started_at
        ours |= {"predict_s": predict_s, "predict_time": metrics.get("predict_time", predict_s)}
    return replace(record, completed_at=completed_at, metrics={**metrics, **ours}, **changes)
