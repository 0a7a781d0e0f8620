"""Signature of a webhook, as Replicate and the gateway compute it and receivers verify it. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from pilotlight.errors import ConfigError

PREFIX = "whsec_"


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a message in base64, without its version prefix.

    Args:
        secret: ``whsec_`` and a key in base64.
        message_id: the same for every delivery attempt.
        timestamp: of this attempt: seconds since 1970, as in its header.
        body: the bytes that are sent.

    Raises:
        ConfigError: the secret is not a webhook secret.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"the webhook secret is not {PREFIX} and a key in base64: {error}") from None
    if not key:
        raise ConfigError("the webhook secret is empty: anybody could sign with it; give whsec_ and a key in base64")
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
