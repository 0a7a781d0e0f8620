"""Numbers as people read them. Pure."""

from __future__ import annotations


def seconds(value_s: float) -> str:
    """A time, to what matters of it."""
    if value_s < 0.9995:
        return f"{value_s * 1000:.0f} ms"
    return f"{value_s:.2f} s" if value_s < 9.995 else f"{value_s:.0f} s"
