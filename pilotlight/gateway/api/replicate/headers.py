"""What a caller wants of a prediction beside its result, and how that is said: in headers, and as a webhook."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pilotlight.gateway.api.errors import ProblemError
from pilotlight.gateway.api.replicate.schemas import PredictionBody
from pilotlight.gateway.scheduler import deadlines
from pilotlight.gateway.webhooks import outbox
from pilotlight.gateway.webhooks.events import WebhookSubscription
from pilotlight.util.durations import parse_duration


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What its caller wants of a prediction beside its result.

    Attributes:
        prediction: its id.
        subscription: its webhook, if any.
        cancel_at: when to cancel it, if ever; seconds since 1970.
    """

    prediction: str
    subscription: WebhookSubscription | None
    cancel_at: float | None

    def store(self, db: sqlite3.Connection) -> None:
        """Writes them, in the transaction that accepts the prediction."""
        if self.subscription is not None:
            outbox.insert(db, self.subscription)
        if self.cancel_at is not None:
            deadlines.insert(db, self.prediction, self.cancel_at)


def read_wait(prefer: str | None) -> float | None:
    """The seconds of ``Prefer: wait`` (60) or ``Prefer: wait=N`` (1 to 60); ``None`` without.

    Raises:
        ProblemError: it is a wait, but none that can be granted.
    """
    for part in (prefer or "").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() != "wait":
            continue
        if not value:
            return 60.0
        if re.fullmatch(r"[0-9]{1,2}", value) and 1 <= int(value) <= 60:
            return float(value)
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"Prefer: wait={value[:40]}: give 1 to 60 seconds.")
    return None


def read_cancel_after(header: str | None) -> float | None:
    """The seconds of ``Cancel-After``, such as ``90``, ``5m`` or ``1h30m``: 5 s, as on Replicate, to a day.

    Raises:
        ProblemError: it is no time, or too short or too long.
    """
    if header is None:
        return None
    after_s = parse_duration(header)
    if after_s is None or not 5 <= after_s <= 86400:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"Cancel-After: {header[:40]}: give 5 seconds to a day, such as 90s, 5m or 1h30m."
        )
    return after_s


def read_webhook(body: PredictionBody) -> tuple[str | None, Sequence[str] | None]:
    """The URL of the webhook, and the events that it is for; ``None`` for all of them.

    Raises:
        ProblemError: there are two.
    """
    if body.webhook and body.webhook_completed:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "Give webhook or webhook_completed, not both: a prediction has one."
        )
    if body.webhook_completed:
        return body.webhook_completed, ["completed"]
    return body.webhook or None, body.webhook_events_filter
