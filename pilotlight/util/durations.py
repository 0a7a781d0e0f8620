"""Parses durations: ``90s``, ``800ms``, ``1h30m``, ``7d``; a number without a unit is seconds. Pure."""

from __future__ import annotations

import re

__all__ = ["parse_duration"]

_UNITS_S = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_BARE = re.compile(_NUMBER, re.ASCII)
# Units from the largest to the smallest; each may occur once.
_UNITS = ("d", "h", "min|m(?!s)", "s", "ms")
_DURATION = re.compile(r"\s*".join(rf"(?:({_NUMBER})\s*({unit}))?" for unit in _UNITS), re.ASCII)


def parse_duration(text: str) -> float | None:
    """Return the duration in seconds; ``None`` if ``text`` is not a duration."""
    text = text.strip().lower()
    if _BARE.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    found = zip(match.groups()[::2], match.groups()[1::2], strict=True)
    return sum(float(number) * _UNITS_S[unit] for number, unit in found if number)
