"""``pilotlight doctor``: find what is wrong with a Cog project, and show what to write instead."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from pilotlight.bench.harness.targets import StartOptions
from pilotlight.cli.bench.options import input_option, json_option, make_inputs, timeout_option
from pilotlight.cli.common.options import environment_option, nearest_if_default, python_option, setup_timeout_option
from pilotlight.cli.common.project import load_project
from pilotlight.doctor.diagnose import RULES
from pilotlight.doctor.examine import examine
from pilotlight.doctor.observe.run import Plan
from pilotlight.doctor.render import doctor_report
from pilotlight.doctor.results import DoctorResult, result_of
from pilotlight.errors import UsageError
from pilotlight.util.durations import parse_duration

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  pilotlight doctor
  pilotlight doctor path/to/project -i prompt="a photo of a cat" --budget 5s
  pilotlight doctor --no-run --ignore no-metrics --json
"""


def _budget(ctx: click.Context, param: click.Parameter, given: str) -> float:
    budget_s = parse_duration(given)
    if not budget_s:
        raise UsageError(f"--budget {given!r}: give a time above 0, such as 10s or 800ms")
    return budget_s


def _rules(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> frozenset[str]:
    known = [rule.id for rule in RULES]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the ids are {', '.join(known)}"
            raise UsageError(f"--ignore {name!r}: no check has that id; {hint}")
    return frozenset(given)


@click.command("doctor", epilog=_EXAMPLES)
@click.argument(
    "project_root", metavar="[PROJECT]", type=click.Path(path_type=Path), default=Path(), callback=nearest_if_default
)
@click.option("--no-run", is_flag=True, help="Only read the project; do not run it.")
@click.option(
    "--budget",
    "budget_s",
    default="10s",
    show_default=True,
    callback=_budget,
    help="Time limit of a cold start, to the end of its first prediction.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Expected requests per second.")
@click.option("--ignore", multiple=True, callback=_rules, metavar="ID", help="Skip this check. Repeatable.")
@input_option
@environment_option
@python_option
@setup_timeout_option
@timeout_option
@json_option
def command(
    project_root: Path,
    no_run: bool,
    budget_s: float,
    rate: float | None,
    ignore: frozenset[str],
    flags: tuple[str, ...],
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    predict_timeout_s: float,
    as_json: bool,
) -> int:
    """Find the ten common mistakes of serving a model in a Cog project, and a few more.

    PROJECT is a folder with cog.yaml; default: this one. The project is read, then run under the real Cog server:
    predictions in sequence, concurrent predictions, and invalid inputs. The exit status is 1 when there are findings.
    """
    plan = Plan(
        project=load_project(project_root),
        inputs_for=partial(make_inputs, flags),
        given=frozenset(flag.partition("=")[0] for flag in flags),
        options=StartOptions(python.absolute(), env, setup_timeout_s, predict_timeout_s),
        announce=lambda step: click.echo(f"{project_root.resolve().name}: {step}", err=True),
    )
    examination = asyncio.run(examine(plan, run=not no_run, budget_s=budget_s, rate=rate, ignore=ignore))
    result = result_of(examination, plan, ignore)
    _show(result, as_json=as_json)
    return 1 if result.findings else 0


def _show(result: DoctorResult, *, as_json: bool) -> None:
    if as_json:
        click.echo(result.model_dump_json(indent=1))
    else:
        Console(highlight=False).print(doctor_report(result))
