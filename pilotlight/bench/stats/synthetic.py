"""Synthetic data of known truth for testing statistics, repeatable from a random generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pilotlight.bench.stats.warmup import Shape

__all__ = [
    "SHAPES",
    "Floats",
    "SyntheticSeries",
    "lognormal",
    "lognormal_quantile",
    "nested",
    "pareto",
    "pareto_quantile",
    "series",
]

Floats = NDArray[np.float64]

SHAPES = (Shape.FLAT, Shape.WARM_UP, Shape.SLOWDOWN, Shape.NO_STEADY_STATE)


@dataclass(frozen=True, slots=True)
class SyntheticSeries:
    """The times of one process.

    Attributes:
        times_s: the times of its predictions.
        shape: the intended class.
        steady_from: the first steady iteration; ``None`` if there is no steady state, or no single iteration begins it.
    """

    times_s: Floats
    shape: Shape
    steady_from: int | None


def lognormal(rng: np.random.Generator, n: int, *, median: float = 1.0, sigma: float = 0.3) -> Floats:
    """Return times as of undisturbed programs; ``sigma`` is the standard deviation of their logarithm."""
    times: Floats = median * np.exp(sigma * rng.standard_normal(n))
    return times


def pareto(rng: np.random.Generator, n: int, *, median: float = 1.0, alpha: float = 1.5) -> Floats:
    """Return times with a heavy tail: P(X > x) falls as x**-alpha. At 1.5 the mean is finite, the variance infinite."""
    uniform = 1.0 - rng.random(n)  # in (0, 1]
    times: Floats = median * (2 * uniform) ** (-1 / alpha)
    return times


def lognormal_quantile(q: float, *, median: float = 1.0, sigma: float = 0.3) -> float:
    """Return the true ``q`` quantile of ``lognormal``."""
    return median * math.exp(sigma * NormalDist().inv_cdf(q))


def pareto_quantile(q: float, *, median: float = 1.0, alpha: float = 1.5) -> float:
    """Return the true ``q`` quantile of ``pareto``."""
    return median * float((2 * (1 - q)) ** (-1 / alpha))


def nested(
    rng: np.random.Generator, processes: int, iterations: int, *, between: float = 0.1, within: float = 0.1
) -> list[Floats]:
    """Return iterations within processes, all lognormal around 1: each process has its own level."""
    return [
        lognormal(rng, iterations, median=float(level), sigma=within)
        for level in lognormal(rng, processes, sigma=between)
    ]


def series(shape: Shape, n: int, rng: np.random.Generator) -> SyntheticSeries:
    """Return a process of ``n`` predictions, at least 100, that develops as ``shape`` says.

    The level is 10 ms to 2 s, the noise is lognormal with a deviation of 0.5 to 5 %, and one prediction in a hundred
    takes 1.5 to 4 times as long. Every change is at least 20 %.
    """
    level, steady_from = _LEVELS[shape](n, rng)
    noise = lognormal(rng, n, sigma=float(rng.uniform(0.005, 0.05)))
    pauses = np.where(rng.random(n) < 0.01, rng.uniform(1.5, 4.0, n), 1.0)
    unit_s = float(np.exp(rng.uniform(np.log(0.01), np.log(2.0))))
    return SyntheticSeries(unit_s * level * noise * pauses, shape, steady_from)


def _flat(n: int, rng: np.random.Generator) -> tuple[Floats, int | None]:
    return np.ones(n), 0


def _warm_up(n: int, rng: np.random.Generator) -> tuple[Floats, int | None]:
    """Return a few very slow ones, one step, two steps, or an exponential decay, which has no single end."""
    level = np.ones(n)
    kind = rng.integers(4)
    if kind == 0:
        few = int(rng.integers(2, 11))
        level[:few] = rng.uniform(2.0, 10.0)
        return level, few
    if kind == 1:
        end = int(n * rng.uniform(0.1, 0.5))
        level[:end] = rng.uniform(1.2, 3.0)
        return level, end
    if kind == 2:
        middle, end = int(n * rng.uniform(0.08, 0.2)), int(n * rng.uniform(0.3, 0.5))
        level[:end] = rng.uniform(1.2, 1.6)
        level[:middle] *= rng.uniform(1.3, 2.0)
        return level, end
    level += rng.uniform(0.5, 3.0) * np.exp(-np.arange(n) / (n * rng.uniform(0.02, 0.08)))
    return level, None


def _slowdown(n: int, rng: np.random.Generator) -> tuple[Floats, int | None]:
    """Return one step up, or two, possibly after a few slow predictions."""
    level = np.ones(n)
    end = int(n * rng.uniform(0.3, 0.6))
    level[end:] = rng.uniform(1.2, 2.5)
    if rng.random() < 0.5:
        level[: int(n * rng.uniform(0.1, 0.25))] *= rng.choice([0.6, 0.75, 4.0])
    return level, end


def _no_steady_state(n: int, rng: np.random.Generator) -> tuple[Floats, int | None]:
    """Return two alternating levels, a drift that does not end, or random levels."""
    kind = rng.integers(3)
    if kind == 0:
        half = int(n * rng.uniform(0.08, 0.16))
        turn = (np.arange(n) + rng.integers(half)) // half % 2
        return np.where(turn == 1, 1.0 + float(rng.uniform(0.3, 1.0)), 1.0), None
    if kind == 1:
        rising = np.linspace(1.0, float(rng.uniform(1.8, 4.0)), n)
        return (rising if rng.random() < 0.5 else rising[::-1]), None
    parts = int(rng.integers(7, 12))
    steps = rng.uniform(0.25, 0.6, parts) * rng.choice([-1, 1], parts)  # of the logarithm
    levels: Floats = np.exp(np.cumsum(steps))
    return np.repeat(levels, -(-n // parts))[:n], None


_LEVELS: dict[Shape, Callable[[int, np.random.Generator], tuple[Floats, int | None]]] = {
    Shape.FLAT: _flat,
    Shape.WARM_UP: _warm_up,
    Shape.SLOWDOWN: _slowdown,
    Shape.NO_STEADY_STATE: _no_steady_state,
}
