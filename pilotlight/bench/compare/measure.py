"""Measure both sides of a comparison in one interleaved run, using ``bench cold`` or ``bench warm``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.bench.cold import measure as cold
from pilotlight.bench.cold.pagecache import Method
from pilotlight.bench.compare.metrics import CompareMetric, Result
from pilotlight.bench.harness.targets import BenchTarget, InputMaker, SeriesStep, StartOptions
from pilotlight.bench.warm import measure as warm

__all__ = ["ComparePlan", "measure"]


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """The sides to compare, and how.

    Attributes:
        a: the baseline.
        b: the candidate.
        metric: the metric to compare.
        runs: the measured processes of each side.
        iterations: the predictions in each process; only for the steady metric.
        seed: the seed of their order.
        drop_method: see ``cold.ColdPlan``; for all metrics but steady.
        options: the options of the workers.
    """

    a: BenchTarget
    b: BenchTarget
    metric: CompareMetric
    runs: int
    iterations: int
    seed: int
    drop_method: Method | None
    options: StartOptions


async def measure(
    plan: ComparePlan,
    inputs_for: InputMaker,
    *,
    save: Callable[[Result], None],
    announce: Callable[[SeriesStep], None],
    tick: Callable[[], None],
) -> Result:
    """Measure as ``cold.measure`` or ``warm.measure`` does, and return its result."""
    targets = (plan.a, plan.b)
    if plan.metric is CompareMetric.STEADY:
        steady = warm.WarmPlan(targets, plan.runs, plan.iterations, plan.seed, plan.options)
        return await warm.measure(steady, inputs_for, save=save, announce=announce, tick=tick)
    starts = cold.ColdPlan(
        targets=targets, runs=plan.runs, seed=plan.seed, drop_method=plan.drop_method, options=plan.options
    )
    return await cold.measure(starts, inputs_for, save=save, announce=announce)
