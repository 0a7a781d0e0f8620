"""Measure the bench itself: how often its statistics are wrong on data of known truth, and how fine its clock is.

If a figure misses its target, do not trust the verdicts of this installation. The same seed gives the same figures,
except those of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from pilotlight.bench.calibrate.figures import CalibrationFigure
from pilotlight.bench.calibrate.overhead import OBSERVATION
from pilotlight.bench.stats import synthetic
from pilotlight.bench.stats.intervals import (
    Estimate,
    TooSmall,
    Verdict,
    bca_interval,
    compare,
    hierarchical_interval,
    median_interval,
    quantile_interval,
)
from pilotlight.bench.stats.synthetic import SHAPES, Floats
from pilotlight.bench.stats.warmup import classify
from pilotlight.errors import UsageError

__all__ = ["MAX_RUNS", "MIN_RUNS", "SERIES", "Calibration", "CalibrationFigure", "calibrate"]

MIN_RUNS = 100  # with far fewer, chance alone puts a correct figure outside its target
MAX_RUNS = 20_000
SERIES = 400

_SIZES = (10, 20, 30)  # processes of a cold-start bench
_MANY = (59, 100, 299)  # enough for a p95
# Data sets for each run and size where they cost little: a share of 6000 trials is accurate to 0.6 %, so chance does
# not put a figure near 96 % outside its target. The hierarchical bootstrap is too slow for that many.
_REPEATS = 4
_RESAMPLES = 1000
_TIMER_READINGS = 20_000
_TIMER_LIMIT_S = 1e-5  # a thousandth of the shortest prediction worth measuring
_FALSE_POSITIVES = "A/A false positives"
_COVERAGE = "coverage"

Data = TypeVar("Data")
Draw = Callable[[np.random.Generator, int], Data]
Interval = Callable[[Data, int], Estimate | TooSmall]  # of data; the integer is a seed for resampling
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result of ``calibrate``.

    Attributes:
        runs: the data sets per figure and size.
        seed: the seed of the data.
        figures: the figures in a fixed order; those of ``overhead``, if measured, come last.
    """

    runs: int
    seed: int
    figures: tuple[CalibrationFigure, ...]

    @property
    def ok(self) -> bool:
        return all(figure.ok for figure in self.figures)

    @property
    def sentence(self) -> str:
        """Return the calibration's result as a sentence for the end of a report."""
        outside = [figure.name for figure in self.figures if not figure.ok]
        if outside:
            return f"Do not trust the verdicts of this installation; outside their targets: {'; '.join(outside)}."
        wrong = max(figure.value for figure in self.figures if figure.name.startswith(_FALSE_POSITIVES))
        held = [figure.value for figure in self.figures if figure.name.startswith(_COVERAGE)]
        return (
            f"At most {wrong:.1%} of comparisons of equals report a difference, and {min(held):.1%} to {max(held):.1%} "
            f"of 95% intervals contain the truth.{self._observation}"
        )

    @property
    def _observation(self) -> str:
        for figure in self.figures:
            if figure.name == OBSERVATION and figure.interval is not None:
                low, high = figure.interval
                return f" Observing a cold start adds {figure.value:.1%} to it ({low:.1%} to {high:.1%})."
        return ""


def calibrate(*, runs: int = 500, seed: int = 0, on_progress: Progress | None = None) -> Calibration:
    """Measure every figure; takes about 15 s of one core for 500 runs, and in proportion for others.

    Args:
        runs: the data sets for each figure and size, ``MIN_RUNS`` to ``MAX_RUNS``.
        seed: the seed of the data.
        on_progress: a callback that gets the number of finished figures and the number of all.

    Raises:
        UsageError: ``runs`` is out of range.
    """
    if not MIN_RUNS <= runs <= MAX_RUNS:
        raise UsageError(f"calibrate: {runs} runs; give {MIN_RUNS} to {MAX_RUNS}")
    figures: list[CalibrationFigure] = []
    tasks = _tasks(runs)
    for index, task in enumerate(tasks):
        figures.append(task(np.random.default_rng([seed, index])))
        if on_progress:
            on_progress(index + 1, len(tasks))
    return Calibration(runs, seed, tuple(figures))


def _tasks(runs: int) -> list[Callable[[np.random.Generator], CalibrationFigure]]:
    draws: dict[str, Draw[Floats]] = {"lognormal": synthetic.lognormal, "heavy-tailed": synthetic.pareto}
    p95 = {"lognormal": synthetic.lognormal_quantile(0.95), "heavy-tailed": synthetic.pareto_quantile(0.95)}
    kinds = draws.items()
    nested = partial(synthetic.nested, iterations=20)
    coverage = partial(_coverage, runs=runs)
    return [
        *(partial(_false_positives, runs=runs, name=kind, draw=draw) for kind, draw in kinds),
        *(partial(coverage, name=f"median, {kind}", draw=draw, interval=_median) for kind, draw in kinds),
        *(partial(coverage, name=f"median by BCa, {kind}", draw=draw, interval=_bca) for kind, draw in kinds),
        partial(coverage, name="hierarchical median", draw=nested, interval=_hierarchical, repeats=1),
        *(
            partial(coverage, name=f"p95, {kind}", draw=draw, interval=_p95, sizes=_MANY, truth=p95[kind])
            for kind, draw in kinds
        ),
        _accuracy,
        _timer_resolution,
        _timer_cost,
    ]


def _median(data: Floats, seed: int) -> Estimate | TooSmall:
    return median_interval(data)


def _bca(data: Floats, seed: int) -> Estimate | TooSmall:
    return bca_interval(data, resamples=_RESAMPLES, seed=seed)


def _hierarchical(data: list[Floats], seed: int) -> Estimate | TooSmall:
    return hierarchical_interval(data, resamples=_RESAMPLES // 2, seed=seed)


def _p95(data: Floats, seed: int) -> Estimate | TooSmall:
    return quantile_interval(data, 0.95)


def _false_positives(rng: np.random.Generator, *, runs: int, name: str, draw: Draw[Floats]) -> CalibrationFigure:
    """Compare groups of the same origin, where every verdict except "cannot tell" is wrong."""
    pairs = ((draw(rng, n), draw(rng, n)) for n in _SIZES for _ in range(runs * _REPEATS))
    wrong = sum(compare(one, other).verdict is not Verdict.CANNOT_TELL for one, other in pairs)
    trials = runs * _REPEATS * len(_SIZES)
    return CalibrationFigure(f"{_FALSE_POSITIVES}, {name}", wrong / trials, "share", 0.0, 0.06, trials)


def _coverage(
    rng: np.random.Generator,
    *,
    runs: int,
    name: str,
    draw: Draw[Data],
    interval: Interval[Data],
    sizes: tuple[int, ...] = _SIZES,
    truth: float = 1.0,
    repeats: int = _REPEATS,
) -> CalibrationFigure:
    """Measure how often the interval contains the truth."""
    held = 0
    for n in sizes:
        for seed in range(runs * repeats):
            found = interval(draw(rng, n), seed)
            held += isinstance(found, Estimate) and found.low <= truth <= found.high
    trials = runs * repeats * len(sizes)
    return CalibrationFigure(f"{_COVERAGE}, {name}", held / trials, "share", 0.93, 0.97, trials)


def _accuracy(rng: np.random.Generator) -> CalibrationFigure:
    right = 0
    for index in range(SERIES):
        made = synthetic.series(SHAPES[index % len(SHAPES)], int(rng.integers(150, 601)), rng)
        right += classify(made.times_s).shape is made.shape
    return CalibrationFigure("warm-up classes right", right / SERIES, "share", 0.95, 1.0, SERIES)


def _timer_resolution(_: np.random.Generator) -> CalibrationFigure:
    """Measure the smallest step of the clock that times every measurement."""
    steps = _timer_steps()
    least_s = float(steps[steps > 0].min()) if np.any(steps > 0) else float("inf")
    return CalibrationFigure("timer resolution", least_s, "s", 0.0, _TIMER_LIMIT_S, steps.size)


def _timer_cost(_: np.random.Generator) -> CalibrationFigure:
    """Measure the time that reading the clock takes."""
    steps = _timer_steps()
    return CalibrationFigure("timer cost", float(steps.mean()), "s", 0.0, _TIMER_LIMIT_S, steps.size)


def _timer_steps() -> Floats:
    return np.diff(np.array([time.perf_counter() for _ in range(_TIMER_READINGS)]))
