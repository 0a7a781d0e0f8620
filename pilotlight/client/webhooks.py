"""Whether a webhook is from whom it says: the signatures of Replicate, and of a pilotlight gateway."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping

from pilotlight.errors import WebhookError
from pilotlight.signing import sign

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
        ConfigError: the secret is none.
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
    expected = sign(secret, message_id, stamp, body).encode()
    found = [one.partition(",") for one in signatures.split()]
    if not any(version == "v1" and hmac.compare_digest(value.encode(), expected) for version, _, value in found):
        raise WebhookError("no signature is that of this key")
    return message_id
