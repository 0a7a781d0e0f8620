"""Webhooks as Replicate sends them: what is asked for, which event is due, and how a delivery is signed. Pure.

An event is a POST of the prediction as it is then. ``start`` and ``completed`` are always sent where they are asked
for, ``output`` and ``logs`` at most twice a second, and only the newest: a receiver that is slow gets fewer of them,
and costs no memory. Only ``completed`` is tried again.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.types import Status
from pilotlight.util import webhook_signing
from pilotlight.util.backoff import Backoff

EVENTS = ("start", "output", "logs", "completed")

# Between two deliveries of output or logs, as Replicate has it.
THROTTLE_S = 0.5
# For one delivery, from the name's lookup to the end of the answer.
TIMEOUT_S = 10.0
# After the end of a prediction: a receiver that is down for a night gets everything in the morning.
GIVE_UP_S = 24 * 3600.0
_BACKOFF = Backoff(first_s=1.0, max_s=15 * 60.0)


@dataclass(frozen=True, slots=True)
class WebhookSubscription:
    """A webhook of one prediction, which is owed to its receiver until it is delivered or given up.

    Attributes:
        prediction: its id.
        url: where to send.
        origin: scheme, host and port of that: deliveries to one receiver share what it can take.
        events: which of ``EVENTS``.
        base: where the prediction's caller reaches the gateway, for the URLs in the body.
        delivery: the id of the last delivery, however often it is sent.
        attempts: how often that was tried.
        give_up_at: when to stop; ``None`` while the prediction has not ended.
    """

    prediction: str
    url: str
    origin: str
    events: tuple[str, ...]
    base: str
    delivery: str
    attempts: int = 0
    give_up_at: float | None = None


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What a receiver knows of a prediction that runs."""

    started: bool = False
    output: Any = None
    logs: str = ""


def next_event(events: Sequence[str], told: DeliveryState, record: PredictionRecord) -> PredictionRecord | None:
    """What to send now of a prediction; ``None`` when the receiver knows all that it asked for, but for the end.

    The end is not sent here where ``completed`` is asked for. Where it is not, the last output and logs are, so that
    whoever asked for those alone misses none.
    """
    if record.started_at is None:
        return None
    if "start" in events and not told.started:
        return replace(
            record, status=Status.PROCESSING, output=None, logs="", error=None, completed_at=None, metrics={}
        )
    if record.status.terminal and "completed" in events:
        return None
    news = ("output" in events and record.output != told.output) or ("logs" in events and record.logs != told.logs)
    return record if news else None


def told_by(record: PredictionRecord) -> DeliveryState:
    """What its receiver knows after ``record`` was sent."""
    return DeliveryState(started=True, output=record.output, logs=record.logs)


def backoff_s(attempts: int) -> float:
    """How long to wait after so many failed attempts: 1, 2, 4, ... seconds, up to a quarter of an hour."""
    return _BACKOFF.delay_s(attempts)


def new_delivery_id() -> str:
    """An id that no other delivery has."""
    return f"msg_{secrets.token_hex(13)}"


def new_secret() -> str:
    """A key for signatures, as Replicate writes them."""
    return webhook_signing.PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, delivery: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows that the body is ours.

    Args:
        secret: ``whsec_`` and a key in base64.
        delivery: the id of the delivery.
        timestamp: of this attempt; seconds since 1970.
        body: the bytes that are sent.

    Raises:
        ConfigError: the secret is none.
    """
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{webhook_signing.sign(secret, delivery, str(timestamp), body)}",
    }
