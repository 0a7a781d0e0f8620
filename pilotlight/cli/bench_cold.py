"""``pilotlight bench cold``: how long a project takes from nothing to its first prediction, and on what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console

from pilotlight.bench.cold import DEFAULT_RUNS, ColdPlan, Step, measure, name_targets
from pilotlight.bench.inputs import default_inputs
from pilotlight.bench.observe import StartOptions
from pilotlight.bench.pagecache import pick_method
from pilotlight.bench.render import cold_report
from pilotlight.bench.results import ColdResult, write_result
from pilotlight.cli.options import environment_option, python_option, setup_timeout_option
from pilotlight.cli.values import inputs_from_flags
from pilotlight.errors import UsageError
from pilotlight.runtime import Project

_EXAMPLES = """\b
Examples:
  pilotlight bench cold -i prompt="def main(args):" -i max_tokens=8
  pilotlight bench cold path/to/one path/to/another -n 20 --page-cache dropped
  pilotlight bench cold --json --out cold.json | less
"""


@click.command("cold", epilog=_EXAMPLES)
@click.argument("projects", nargs=-1, metavar="[PROJECT]...", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "--runs",
    type=click.IntRange(min=1),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Measured starts of each project; 6 are needed for an interval on the median.",
)
@click.option(
    "--page-cache",
    type=click.Choice(["hot", "dropped"]),
    default="hot",
    show_default=True,
    help="Whether a start finds in memory what it read before.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of the starts.")
@click.option(
    "-i",
    "--input",
    "flags",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input of the first prediction; what has to be given and is not gets a placeholder.",
)
@environment_option
@python_option
@setup_timeout_option
@click.option(
    "--timeout",
    "predict_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds for the first prediction.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="bench-cold-<time>.json",
    help="Where to write the result, after every start.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of tables.")
def command(
    projects: tuple[Path, ...],
    runs: int,
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
    """Measure cold starts of Cog projects, without Docker.

    Each start is a fresh worker, from its exec to the end of its first prediction; before them each project starts
    once unmeasured. Several PROJECTs (folders with cog.yaml; default: this one) take turns in a random order, and are
    compared with the first. A project that fails is reported, and the others go on: the exit status is 1 then.
    """
    plan = ColdPlan(
        targets=name_targets([Project.load(root) for root in projects or (Path(),)]),
        runs=runs,
        seed=seed,
        drop_method=pick_method() if page_cache == "dropped" else None,
        options=StartOptions(python, env, setup_timeout_s, predict_timeout_s),
    )
    progress = _Progress(plan, out or Path(f"bench-cold-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"))
    try:
        result = asyncio.run(
            measure(plan, lambda document: _inputs(flags, document), save=progress.save, announce=progress.announce)
        )
    except KeyboardInterrupt:
        if progress.saved is not None:
            _show(progress.saved, as_json=as_json)
            click.echo(f"The starts so far are in {progress.path}", err=True)
        raise
    _show(result, as_json=as_json)
    click.echo(f"Written to: {progress.path}", err=True)
    return 1 if any(result.failures(info.name) for info in result.projects) else 0


class _Progress:
    """Says on stderr which start is next, and keeps the file up to date."""

    def __init__(self, plan: ColdPlan, path: Path) -> None:
        if not path.parent.is_dir():
            raise UsageError(f"--out {path}: there is no folder {path.parent}; create it or choose another")
        self.path = path
        self.saved: ColdResult | None = None
        self._runs = plan.runs

    def save(self, result: ColdResult) -> None:
        write_result(result, self.path)
        self.saved = result

    def announce(self, step: Step) -> None:
        what = "not measured" if step.round < 0 else f"{step.round + 1} of {self._runs}"
        click.echo(f"{step.target.name}: start {what}", err=True)


def _inputs(flags: tuple[str, ...], document: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, converted by the schema, and placeholders for the rest that is required."""
    schemas = document["components"]["schemas"]
    optional = {**schemas["Input"], "required": []}
    relaxed = {**document, "components": {"schemas": {**schemas, "Input": optional}}}
    return default_inputs(document, inputs_from_flags(flags, relaxed))


def _show(result: ColdResult, *, as_json: bool) -> None:
    if as_json:
        click.echo(result.model_dump_json(indent=1))
    else:
        Console().print(cold_report(result))
