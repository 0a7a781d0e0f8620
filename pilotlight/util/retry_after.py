"""The ``Retry-After`` header of HTTP. Pure."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["retry_after_s"]


def retry_after_s(value: str, *, now: float) -> float | None:
    """Return the seconds of a ``Retry-After`` header in either of its forms; ``None`` if the value is invalid or empty.

    Args:
        value: the header's value: seconds, or a date.
        now: seconds since 1970.
    """
    try:
        asked_s = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        # A date without a zone, or with the zone "-0000", is in UTC.
        asked_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    return max(0.0, asked_s) if math.isfinite(asked_s) else None
