"""Turns a network's raw numbers into scores and vectors of length one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pilotlight.engines.encoders.types import Activation

__all__ = ["scores", "unit"]


def scores(values: Sequence[float], activation: Activation) -> list[float]:
    """Return a classifier's raw numbers as scores, shape (labels,)."""
    if activation is Activation.NONE:
        return list(values)
    if activation is Activation.SIGMOID:
        return [0.5 * (1 + math.tanh(value / 2)) for value in values]  # the sigmoid, without overflow
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    total = sum(powers)
    return [power / total for power in powers]


def unit(values: Sequence[float]) -> tuple[float, ...]:
    """Return the vector of length 1 in the same direction; zeros stay zeros."""
    length = math.hypot(*values)
    return tuple(value / length for value in values) if length else tuple(values)
