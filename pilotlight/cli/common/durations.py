"""The parameter type for durations: ``90s``, ``1h30m``, ``7d``."""

from __future__ import annotations

import click

from pilotlight.util.durations import parse_duration

__all__ = ["DURATION"]


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        duration_s = parse_duration(value)
        if duration_s is None:
            self.fail(f"{value!r} is not a duration: give one such as 90s, 1h30m or 7d", param, ctx)
        return duration_s


DURATION = _Duration()
