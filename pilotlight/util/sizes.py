"""Parses sizes in bytes: ``8GiB``, ``300MB``, ``1e9``; a number without a unit is bytes. Pure."""

from __future__ import annotations

import re

__all__ = ["parse_size"]

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{0,9})?(?:e\d{1,2})?)\s*([a-z]*)", re.ASCII)


def parse_size(text: str) -> int | None:
    """Return the size in bytes; ``None`` if ``text`` is not a size above zero."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2]]) or None
