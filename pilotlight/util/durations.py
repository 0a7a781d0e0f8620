"""Lengths of time as people write them: ``90s``, ``1h30m``, ``7d``; a bare number is seconds. Pure."""

from __future__ import annotations

import re

_UNITS_S = (86400, 3600, 60, 1)
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Seconds; ``None`` when it is no duration."""
    text = text.strip().lower()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not match[0]:
        return None
    counts = (int(number or 0) for number in match.groups())
    return float(sum(count * unit_s for count, unit_s in zip(counts, _UNITS_S, strict=True)))
