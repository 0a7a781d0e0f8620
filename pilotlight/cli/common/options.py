"""Options that several subcommands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource

from pilotlight.config.serving import WorkerSettings
from pilotlight.config.tokens import renamed
from pilotlight.config.variables import Variable
from pilotlight.errors import UsageError
from pilotlight.runtime.project import nearest_project


def parse_variables(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Parse an option that takes ``NAME=VALUE`` any number of times; a click callback."""
    variables = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{param.opts[0]} {pair!r}: give it as NAME=VALUE")
        variables[name] = value
    return variables


def note_old_name(
    new: Variable[str | None],
) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a click callback for an option with a token: says so where the old variable has set it."""

    def check(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
        from_environment = ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT
        if from_environment and (note := renamed(os.environ, new)) is not None:
            click.echo(f"Note: {note}", err=True)
        return given

    return check


def nearest_if_default(context: click.Context, parameter: click.Parameter, folder: Path) -> Path:
    """Return the project's folder: as given, or by default the current one or the nearest above it with a cog.yaml."""
    if parameter.name is not None and context.get_parameter_source(parameter.name) is ParameterSource.DEFAULT:
        return nearest_project(folder)
    return folder


project_option = click.option(
    "--project",
    "project_root",
    type=click.Path(path_type=Path),
    default=Path(),
    callback=nearest_if_default,
    show_default="the current folder, or the nearest above it",
    help="The folder with cog.yaml.",
)
environment_option = click.option(
    "-e",
    "--env",
    multiple=True,
    callback=parse_variables,
    metavar="NAME=VALUE",
    help="An environment variable for the predictor.",
)
python_option = click.option(
    "--python",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=Path(sys.executable),
    show_default="the one that runs this command",
    help="The Python whose environment has cog and what the predictor imports.",
)
setup_timeout_option = click.option(
    "--setup-timeout",
    "setup_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=WorkerSettings().setup_timeout_s,
    show_default=True,
    help="Seconds for setup().",
)
inputs_option = click.option(
    "-i",
    "--input",
    "flags",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input; @path sends a file. A list can be given as JSON, or by giving its name several times.",
)
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to write the output: a file or a folder."
)
