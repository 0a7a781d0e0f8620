"""``pilotlight bench warm``: measure how a project's times develop from the first prediction to the steady state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from pilotlight.bench.harness.targets import StartOptions, name_targets
from pilotlight.bench.stats.warmup import MIN_ITERATIONS
from pilotlight.bench.warm.measure import DEFAULT_ITERATIONS, DEFAULT_PROCESSES, WarmPlan, measure
from pilotlight.bench.warm.render import warm_report
from pilotlight.bench.warm.results import WarmResult
from pilotlight.cli.bench.options import (
    OutFile,
    input_option,
    json_option,
    make_inputs,
    out_option,
    projects_argument,
    seed_option,
    shows,
    timeout_option,
)
from pilotlight.cli.bench.progress import RunProgress
from pilotlight.cli.common.options import environment_option, python_option, setup_timeout_option
from pilotlight.cli.common.project import load_project

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight bench warm -i prompt="def main(args):" -i max_tokens=8
  pilotlight bench warm path/to/one path/to/another -p 10 -n 200
  pilotlight bench warm --json --out warm.json | less
"""


@click.command("warm", epilog=_EXAMPLES)
@projects_argument
@click.option(
    "-p",
    "--processes",
    type=click.IntRange(min=1),
    default=DEFAULT_PROCESSES,
    show_default=True,
    help="Measured processes of each project. An interval for the steady time needs at least 5.",
)
@click.option(
    "-n",
    "--iterations",
    type=click.IntRange(min=MIN_ITERATIONS),
    default=DEFAULT_ITERATIONS,
    show_default=True,
    help="Predictions in each process, in sequence.",
)
@seed_option
@input_option
@environment_option
@python_option
@setup_timeout_option
@timeout_option
@out_option("warm")
@json_option
def command(
    projects: tuple[Path, ...],
    processes: int,
    iterations: int,
    seed: int,
    flags: tuple[str, ...],
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    predict_timeout_s: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Measure how Cog projects warm up, without Docker.

    Each process is a fresh worker that repeats the same prediction. Each project starts once unmeasured before that.
    Changepoints in the times of each process show after how many predictions it is in its steady state and what the
    warm-up costs, or that there is no steady state. Several PROJECTs (folders with cog.yaml; default: this one) run in
    turn in random order and are compared with the first. When a project fails, it is reported, the others continue, and
    the exit status is 1.
    """
    plan = WarmPlan(
        targets=name_targets([load_project(root) for root in projects or (Path(),)]),
        processes=processes,
        iterations=iterations,
        seed=seed,
        options=StartOptions(python, env, setup_timeout_s, predict_timeout_s),
    )
    file: OutFile[WarmResult] = OutFile(out, "warm")

    def run() -> WarmResult:
        inputs_for = partial(make_inputs, flags)
        with RunProgress("process", processes, len(plan.targets), iterations) as progress:
            return asyncio.run(
                measure(plan, inputs_for, save=file.save, announce=progress.announce, tick=progress.tick)
            )

    result = file.fill(run, shows(warm_report, as_json=as_json), "processes")
    return 1 if any(result.failures(info.name) for info in result.projects) else 0
