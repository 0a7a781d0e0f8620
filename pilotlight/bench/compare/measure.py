"""Both sides of a comparison in one interleaved run, by the machinery of ``bench cold`` or ``bench warm``."""

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
    """What to measure.

    Attributes:
        a: the baseline.
        b: the candidate.
        metric: what counts.
        runs: measured processes of each side.
        iterations: predictions in each; of the steady metric only.
        seed: of their order.
        drop_method: see ``cold.ColdPlan``; of all other metrics.
        options: how to start.
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
    """As ``cold.measure`` or ``warm.measure``, whose result it is."""
    targets = (plan.a, plan.b)
    if plan.metric is CompareMetric.STEADY:
        steady = warm.WarmPlan(targets, plan.runs, plan.iterations, plan.seed, plan.options)
        return await warm.measure(steady, inputs_for, save=save, announce=announce, tick=tick)
    starts = cold.ColdPlan(
        targets=targets, runs=plan.runs, seed=plan.seed, drop_method=plan.drop_method, options=plan.options
    )
    return await cold.measure(starts, inputs_for, save=save, announce=announce)
