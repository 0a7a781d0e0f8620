"""Webhooks as Replicate sends them: what is asked for, which event is due, and how a delivery is signed. Pure.

An event is a POST of the prediction as it is then. ``start`` and ``completed`` are always sent where they are asked
for, ``output`` and ``logs`` at most twice a second, and only the newest: a slow receiver gets fewer of them and costs
no memory. Only ``completed`` is tried again.
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

# Without a filter, as Replicate has it: new output, and the end.
DEFAULT_EVENTS = ("output", "completed")

# Between two deliveries of output or logs, as Replicate has it.
THROTTLE_S = 0.5
# For one delivery, from the name's lookup to the end of the answer.
TIMEOUT_S = 10.0
# After the end of a prediction: a receiver that is down for a night gets everything in the morning.
GIVE_UP_S = 24 * 3600.0
_BACKOFF = Backoff(first_s=1.0, max_s=15 * 60.0)


@dataclass(frozen=True, slots=True)
class WebhookSubscription:
    """A webhook of one prediction; the end is owed to its receiver until it is delivered or given up.

    Attributes:
        prediction: its id.
        url: where to send.
        origin: scheme, host and port of that: deliveries to one receiver share what it can take.
        events: which of ``EVENTS``.
        base: where the prediction's caller reaches the gateway, for the URLs in the body.
        delivery: the id of the delivery of the end, the same for every attempt.
        attempts: how often that was tried.
        give_up_at: when to stop trying; ``None`` while the prediction has not ended.
    """

    prediction: str
    url: str
    origin: str
    events: tuple[str, ...]
    base: str
    delivery: str
    attempts: int = 0
    give_up_at: float | None = None

    @property
    def wants_progress(self) -> bool:
        """Whether anything but the end is asked for."""
        return self.events != ("completed",)


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What has been delivered of a prediction that runs."""

    started: bool = False
    output: Any = None
    logs: str = ""


def next_event(events: Sequence[str], state: DeliveryState, record: PredictionRecord) -> PredictionRecord | None:
    """Return what to send now of a prediction; ``None`` when all that was asked for but the end has been delivered.

    The end is not sent here where ``completed`` is asked for. Where it is not, the last output and logs are, so that
    a receiver that asked for those alone misses none.
    """
    if record.started_at is None:
        return None
    if "start" in events and not state.started:
        return replace(
            record, status=Status.PROCESSING, output=None, logs="", error=None, completed_at=None, metrics={}
        )
    if record.status.terminal and "completed" in events:
        return None
    new_output = "output" in events and record.output != state.output
    new_logs = "logs" in events and record.logs != state.logs
    return record if new_output or new_logs else None


def state_after(record: PredictionRecord) -> DeliveryState:
    """Return the state after ``record`` was sent."""
    return DeliveryState(started=True, output=record.output, logs=record.logs)


def backoff_s(attempts: int) -> float:
    """Return how long to wait after so many failed attempts: 1, 2, 4, ... seconds, up to a quarter of an hour."""
    return _BACKOFF.delay_s(attempts)


def new_delivery_id() -> str:
    """Return a new id of a delivery."""
    return f"msg_{secrets.token_hex(13)}"


def new_secret() -> str:
    """Return a new key for signatures, in the form of Replicate's."""
    return webhook_signing.PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, delivery: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver can verify that the body comes from this gateway.

    Args:
        secret: ``whsec_`` and a key in base64.
        delivery: the id of the delivery.
        timestamp: of this attempt; seconds since 1970.
        body: the bytes that are sent.

    Raises:
        ConfigError: the secret has another form.
    """
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{webhook_signing.sign(secret, delivery, str(timestamp), body)}",
    }
