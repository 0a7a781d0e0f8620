"""``pilotlight bench compare``: tell whether B is faster or slower than A, with an exit status for CI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

import click
from rich.console import Console

from pilotlight.bench.cold.measure import DEFAULT_RUNS
from pilotlight.bench.cold.pagecache import pick_method
from pilotlight.bench.compare.conditions import Condition, parse_condition
from pilotlight.bench.compare.measure import ComparePlan, measure
from pilotlight.bench.compare.metrics import CompareMetric, Result
from pilotlight.bench.compare.outcome import CompareOutcome, judge
from pilotlight.bench.compare.render import compare_report
from pilotlight.bench.compare.sides import opened, parse_side
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.bench.stats.intervals import TooSmall, compare
from pilotlight.bench.stats.warmup import MIN_ITERATIONS
from pilotlight.bench.warm.measure import DEFAULT_ITERATIONS
from pilotlight.cli.bench.options import (
    OutFile,
    input_option,
    json_option,
    make_inputs,
    out_option,
    page_cache_option,
    seed_option,
    timeout_option,
)
from pilotlight.cli.bench.progress import RunProgress
from pilotlight.cli.common.options import environment_option, parse_variables, python_option, setup_timeout_option
from pilotlight.errors import UsageError

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight bench compare path/to/one path/to/another
  pilotlight bench compare . . --metric steady --env-a THREADS=1 --env-b THREADS=2
  pilotlight bench compare .@v1.0 .@HEAD --metric ready --page-cache dropped

\b
In CI, to refuse a change that makes the project start slower:
  pilotlight bench compare .@origin/main .@HEAD --fail-if slower:5%
"""


def _conditions(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[Condition, ...]:
    return tuple(parse_condition(text) for text in given)


@click.command("compare", epilog=_EXAMPLES)
@click.argument("a")
@click.argument("b")
@click.option(
    "--metric",
    type=click.Choice([metric.value for metric in CompareMetric]),
    default=CompareMetric.COLD.value,
    show_default=True,
    callback=lambda ctx, param, given: CompareMetric(given),
    help="From start to the end of the first prediction, to READY, or to the first output; or the time of a "
    "prediction in the steady state.",
)
@click.option(
    "-n",
    "--runs",
    type=click.IntRange(min=1),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Measured processes of each side. More processes detect smaller differences.",
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    callback=_conditions,
    metavar="OUTCOME",
    help="Exit with status 1 if the data show this outcome: slower, slower:5%, faster, faster:5%, cannot-tell.",
)
@click.option(
    "--env-a", multiple=True, callback=parse_variables, metavar="NAME=VALUE", help="An environment variable for A only."
)
@click.option(
    "--env-b", multiple=True, callback=parse_variables, metavar="NAME=VALUE", help="An environment variable for B only."
)
@click.option(
    "--iterations",
    type=click.IntRange(min=MIN_ITERATIONS),
    default=DEFAULT_ITERATIONS,
    show_default=True,
    help="Predictions in each process; only for the metric steady.",
)
@page_cache_option
@seed_option
@input_option
@environment_option
@python_option
@setup_timeout_option
@timeout_option
@out_option("compare")
@json_option
def command(
    a: str,
    b: str,
    metric: CompareMetric,
    runs: int,
    conditions: tuple[Condition, ...],
    env_a: Mapping[str, str],
    env_b: Mapping[str, str],
    iterations: int,
    page_cache: Literal["hot", "dropped"],
    seed: int,
    flags: tuple[str, ...],
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    predict_timeout_s: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Tell whether B is faster or slower than A, or that the data cannot tell.

    A (the baseline) and B (the candidate) are Cog projects: a FOLDER, or FOLDER@REVISION, which is checked out from its
    git repository for the run (without ignored files such as fetched weights: pass their place with -e). The same
    folder twice, with --env-a and --env-b, compares settings. Both run in one interleaved series of fresh workers in
    random order, so that disturbances of the machine affect both.

    The exit status is 1 when a --fail-if condition holds or a side fails, else 0. A condition that the data do not show
    does not hold.
    """
    _refuse_what_cannot_work(metric, runs, conditions, page_cache)
    file: OutFile[Result] = OutFile(out, "compare")
    with ExitStack() as stack:
        plan = ComparePlan(
            a=stack.enter_context(opened(parse_side(a), "A", env_a)),
            b=stack.enter_context(opened(parse_side(b), "B", env_b)),
            metric=metric,
            runs=runs,
            iterations=iterations,
            seed=seed,
            drop_method=pick_method() if page_cache == "dropped" else None,
            options=StartOptions(python, env, setup_timeout_s, predict_timeout_s),
        )
        result = file.fill(
            lambda: _run(plan, flags, file),
            lambda so_far: _show(judge(so_far, metric, conditions), as_json=as_json),
            "processes",
        )
    return 1 if judge(result, metric, conditions).failed else 0


def _refuse_what_cannot_work(
    metric: CompareMetric, runs: int, conditions: tuple[Condition, ...], page_cache: Literal["hot", "dropped"]
) -> None:
    if metric is CompareMetric.STEADY and page_cache == "dropped":
        raise UsageError(
            "--page-cache dropped: a steady state reads nothing from the disk; leave it out, or give another --metric"
        )
    least = compare([1.0] * runs, [1.0] * runs).ratio
    if conditions and isinstance(least, TooSmall):
        raise UsageError(f"-n {runs} with --fail-if: too few to show any difference; give -n {least.needed} or more")


def _run(plan: ComparePlan, flags: tuple[str, ...], file: OutFile[Result]) -> Result:
    predictions = plan.iterations if plan.metric is CompareMetric.STEADY else 0
    with RunProgress("process", plan.runs, 2, predictions) as progress:
        return asyncio.run(
            measure(
                plan,
                partial(make_inputs, flags),
                save=file.save,
                announce=progress.announce,
                tick=progress.tick,
            )
        )


def _show(outcome: CompareOutcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.document(), indent=1))
    else:
        Console().print(compare_report(outcome))
