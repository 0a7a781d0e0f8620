"""Whether a webhook is from whom it says: the signatures of Replicate, and of a pilotlight gateway."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

from pilotlight.errors import UsageError, WebhookError

# A message older or newer than this may be a replay.
TOLERANCE_S = 300.0


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """The message's id, the same for every try to deliver it: remember it to act once.

    Args:
        body: as it came, before anything has parsed it.
        headers: of the request, whatever the case of their names.
        secret: ``whsec_...``, from ``GET /v1/webhooks/default/secret``.
        now: seconds since 1970; the clock's by default.
        tolerance_s: how far its time may be from now.

    Raises:
        WebhookError: it is not to be trusted; says why.
        UsageError: the secret is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        sent_at = int(stamp)
    except KeyError as error:
        raise WebhookError(f"the header {error} is missing") from None
    except ValueError:
        raise WebhookError(f"webhook-timestamp {stamp[:40]!r} is not a number of seconds") from None
    if abs((time.time() if now is None else now) - sent_at) > tolerance_s:
        raise WebhookError(f"it was sent at {sent_at}, more than {tolerance_s:g} s from now")
    expected = sign_webhook(body, message_id, stamp, secret).encode()
    found = [one.partition(",") for one in signatures.split()]
    if not any(version == "v1" and hmac.compare_digest(value.encode(), expected) for version, _, value in found):
        raise WebhookError("no signature is that of this key")
    return message_id


def sign_webhook(body: bytes, message_id: str, timestamp: str, secret: str) -> str:
    """The signature of a message, in base64, without its version.

    Raises:
        UsageError: the secret is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"the webhook secret is not whsec_ and base64: {error}") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
