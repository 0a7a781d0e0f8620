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
    return _signature(secret, f"{message_id}.{timestamp}.".encode() + body)


def sign_text(secret: str, text: str) -> str:
    """Return the signature of a text in base64, by the key of ``secret``; raises as ``sign`` does."""
    return _signature(secret, text.encode())


def _signature(secret: str, data: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"the webhook secret is not {PREFIX} and a key in base64: {error}") from None
    if not key:
        raise ConfigError("the webhook secret is empty: anybody could sign with it; give whsec_ and a key in base64")
    return base64.b64encode(hmac.new(key, data, hashlib.sha256).digest()).decode()
