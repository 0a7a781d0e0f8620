"""What a request asks for beside the prediction: the headers ``Prefer`` and ``Cancel-After``, and the webhook."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.gateway.api.errors import bad_request, unprocessable
from pilotlight.gateway.api.replicate.schemas import PredictionBody
from pilotlight.gateway.scheduler import deadlines
from pilotlight.gateway.webhooks import outbox
from pilotlight.gateway.webhooks.events import WebhookSubscription
from pilotlight.util.durations import parse_duration


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What a request asks for beside the prediction.

    Attributes:
        prediction: its id.
        subscription: its webhook, if any.
        cancel_at: when to cancel it, if ever; seconds since 1970.
    """

    prediction: str
    subscription: WebhookSubscription | None
    cancel_at: float | None

    def store(self, db: sqlite3.Connection) -> None:
        """Store them in the transaction that accepts the prediction."""
        if self.subscription is not None:
            outbox.insert(db, self.subscription)
        if self.cancel_at is not None:
            deadlines.insert(db, self.prediction, self.cancel_at)


def read_wait(prefer: str | None) -> float | None:
    """Return the seconds of ``Prefer: wait`` (60) or ``Prefer: wait=N`` (1 to 60); ``None`` without either.

    Raises:
        ApiError: the wait is not 1 to 60 seconds.
    """
    for part in (prefer or "").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() != "wait":
            continue
        if not value:
            return 60.0
        if re.fullmatch(r"[0-9]{1,2}", value) and 1 <= int(value) <= 60:
            return float(value)
        raise bad_request(f"Prefer: wait={value[:40]}: give 1 to 60 seconds.")
    return None


def read_cancel_after(header: str | None) -> float | None:
    """Return the seconds of ``Cancel-After``, such as ``90``, ``5m`` or ``1h30m``: 5 s (as on Replicate) to a day.

    Raises:
        ApiError: the header is not a duration, or out of these bounds.
    """
    if header is None:
        return None
    after_s = parse_duration(header)
    if after_s is None or not 5 <= after_s <= 86400:
        raise bad_request(f"Cancel-After: {header[:40]}: give 5 seconds to a day, such as 90s, 5m or 1h30m.")
    return after_s


def read_webhook(body: PredictionBody) -> tuple[str | None, Sequence[str] | None]:
    """Return the URL of the webhook, and its events; ``None`` for those without a filter: output and the end.

    Raises:
        ApiError: the body has two webhooks.
    """
    if body.webhook and body.webhook_completed:
        raise unprocessable(
            "webhook and webhook_completed are both given: leave one out, a prediction has one webhook."
        )
    if body.webhook_completed:
        return body.webhook_completed, ["completed"]
    return body.webhook or None, body.webhook_events_filter
