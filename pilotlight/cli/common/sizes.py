"""Sizes on the command line: ``8GiB``, ``300MB``, ``1e9``."""

from __future__ import annotations

import re

import click

__all__ = ["SIZE", "parse_size"]

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"(\d+(?:\.\d*)?(?:e\d+)?)\s*([a-z]*)")


def parse_size(text: str) -> int | None:
    """Bytes; ``None`` when it is no size above zero."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2]]) or None


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        size_bytes = parse_size(value)
        if size_bytes is None:
            self.fail(f"{value!r} is no size: give a number and a unit, such as 8GiB or 300MB", param, ctx)
        return size_bytes


SIZE = _Size()
