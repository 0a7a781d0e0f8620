"""Verifies a webhook: its signature was made with the secret and its timestamp is recent."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping

from pilotlight.errors import WebhookError
from pilotlight.util.webhook_signing import sign

# A message older or newer than this may be a replay.
TOLERANCE_S = 300.0
# Digits of a timestamp in seconds; 13 digits last for three hundred thousand years.
_MAX_TIMESTAMP_DIGITS = 13


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the message's id, which is the same for every delivery attempt: remember it to handle a message once.

    Args:
        body: the raw body, not parsed.
        headers: of the request; case-insensitive.
        secret: ``whsec_...``, from ``GET /v1/webhooks/default/secret``.
        now: seconds since 1970; by default the current time.
        tolerance_s: largest accepted difference in seconds between the message's timestamp and ``now``.

    Raises:
        WebhookError: the message cannot be trusted; the error says why.
        ConfigError: ``secret`` is not a webhook secret.
    """
    parts = header_parts(headers)
    return verified(body, *parts, secret, now=time.time() if now is None else now, tolerance_s=tolerance_s)


def header_parts(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Return the message's id, its timestamp as text, and its signatures.

    Raises:
        WebhookError: a header is missing or malformed.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookError(f"the header {error} is missing") from None
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _MAX_TIMESTAMP_DIGITS):
        raise WebhookError(f"webhook-timestamp {stamp[:40]!r} is not a number of seconds")
    return message_id, stamp, signatures


def verified(
    body: bytes, message_id: str, stamp: str, signatures: str, secret: str, *, now: float, tolerance_s: float
) -> str:
    """Return ``message_id`` if the timestamp is recent and one signature matches; else raise ``WebhookError``."""
    if abs(now - int(stamp)) > tolerance_s:
        raise WebhookError(f"it was sent at {stamp}, more than {tolerance_s:g} s from now")
    expected = sign(secret, message_id, stamp, body).encode()
    found = [one.partition(",") for one in signatures.split()]
    if not any(version == "v1" and hmac.compare_digest(value.encode(), expected) for version, _, value in found):
        raise WebhookError("no signature matches this secret")
    return message_id
