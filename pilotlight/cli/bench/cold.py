"""``pilotlight bench cold``: measure the time to a project's first prediction, and its stages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import click

from pilotlight.bench.cold.caches import Presence
from pilotlight.bench.cold.measure import DEFAULT_RUNS, ColdPlan, measure
from pilotlight.bench.cold.observe import Conditions
from pilotlight.bench.cold.pagecache import pick_method
from pilotlight.bench.cold.render import cold_report
from pilotlight.bench.cold.results import ColdResult
from pilotlight.bench.harness.memory import default_limit_bytes
from pilotlight.bench.harness.targets import SeriesStep, StartOptions, name_targets
from pilotlight.cli.bench.options import (
    OutFile,
    input_option,
    json_option,
    make_inputs,
    out_option,
    page_cache_option,
    projects_argument,
    seed_option,
    shows,
    timeout_option,
)
from pilotlight.cli.common.options import environment_option, python_option, setup_timeout_option
from pilotlight.cli.common.project import load_project
from pilotlight.cli.common.sizes import SIZE

_EXAMPLES = """\b
Examples:
  pilotlight bench cold -i prompt="def main(args):" -i max_tokens=8
  pilotlight bench cold path/to/one path/to/another -n 20 --page-cache dropped
  pilotlight bench cold --bytecode absent --compile-cache absent --page-cache dropped
  pilotlight bench cold --json --out cold.json | less
"""


@click.command("cold", epilog=_EXAMPLES)
@projects_argument
@click.option(
    "-n",
    "--runs",
    type=click.IntRange(min=1),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Measured starts of each project. An interval for the median needs at least 6.",
)
@page_cache_option
@click.option(
    "--compile-cache",
    type=click.Choice(["present", "absent"]),
    default="present",
    show_default=True,
    help="Whether a start finds the caches that torch.compile, Triton, CUDA and Numba wrote in earlier starts.",
)
@click.option(
    "--bytecode",
    type=click.Choice(["present", "absent"]),
    default="present",
    show_default=True,
    help="Whether a start finds compiled Python modules; absent stands for an image without .pyc files.",
)
@click.option(
    "--memory-limit",
    "memory_limit_bytes",
    type=SIZE,
    show_default="nine tenths of this machine's",
    help="Stop and report a project that uses more memory than this, mapped files not counted. Example: 8GiB, 300MB.",
)
@seed_option
@input_option
@environment_option
@python_option
@setup_timeout_option
@timeout_option
@out_option("cold")
@json_option
def command(
    projects: tuple[Path, ...],
    runs: int,
    page_cache: Literal["hot", "dropped"],
    compile_cache: Presence,
    bytecode: Presence,
    memory_limit_bytes: int | None,
    seed: int,
    flags: tuple[str, ...],
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    predict_timeout_s: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Measure cold starts of Cog projects, without Docker.

    Each start is a fresh worker, from exec to the end of its first prediction. Each project starts once unmeasured
    before that. Several PROJECTs (folders with cog.yaml; default: this one) run in turn in random order and are
    compared with the first. When a project fails, it is reported, the others continue, and the exit status is 1.
    """
    plan = ColdPlan(
        targets=name_targets([load_project(root) for root in projects or (Path(),)]),
        runs=runs,
        seed=seed,
        drop_method=pick_method() if page_cache == "dropped" else None,
        options=StartOptions(python, env, setup_timeout_s, predict_timeout_s),
        conditions=Conditions(compile_cache, bytecode, memory_limit_bytes or default_limit_bytes()),
    )
    file: OutFile[ColdResult] = OutFile(out, "cold")

    def run() -> ColdResult:
        inputs_for = partial(make_inputs, flags)
        return asyncio.run(measure(plan, inputs_for, save=file.save, announce=lambda step: _announce(step, runs)))

    result = file.fill(run, shows(cold_report, as_json=as_json), "starts")
    return 1 if any(result.failures(info.name) for info in result.projects) else 0


def _announce(step: SeriesStep, runs: int) -> None:
    what = "not measured" if step.round < 0 else f"{step.round + 1} of {runs}"
    click.echo(f"{step.target.name}: start {what}", err=True)
