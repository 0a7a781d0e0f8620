"""The parameter type for sizes: ``8GiB``, ``300MB``, ``1e9``."""

from __future__ import annotations

import click

from pilotlight.util.sizes import parse_size

__all__ = ["SIZE"]


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        size_bytes = parse_size(value)
        if size_bytes is None:
            self.fail(f"{value!r} is not a size: give a number and a unit, such as 8GiB or 300MB", param, ctx)
        return size_bytes


SIZE = _Size()
