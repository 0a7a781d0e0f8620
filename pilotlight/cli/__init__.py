"""The command ``pilotlight``: one module for each subcommand, imported when it is called.

Exit status: 0 success, 1 failure, 2 invalid arguments or configuration, 130 interrupted. A ``PilotlightError`` prints
one message on stderr, without a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from pilotlight.cli.common.echo import echo_foreign
from pilotlight.cli.common.lazy import LazyGroup
from pilotlight.config.variables import unknown_variables
from pilotlight.errors import PilotlightError, UsageError, WorkerError

__all__ = ["main", "run"]

# Subcommands by section of `pilotlight --help`: name, where it is, and its short help, read without importing anything.
_SECTIONS = {
    "Run": {
        "predict": ("pilotlight.cli.predict.predict:command", "Run one prediction of a Cog project, without Docker."),
        "serve": ("pilotlight.cli.serve.command:command", "Serve a Cog project over HTTP, without Docker."),
        "run": ("pilotlight.cli.predict.run_target:command", "Run one prediction on any project, gateway or cloud."),
        "types": ("pilotlight.cli.predict.types:command", "Write a Python module with the types of a target's inputs."),
        "prices": ("pilotlight.cli.predict.prices:command", "Show what hardware costs on each platform."),
    },
    "Measure": {
        "bench": ("pilotlight.cli.bench:command", "Measure a Cog project: cold start, warm-up, load."),
        "doctor": ("pilotlight.cli.doctor:command", "Find what is wrong with a Cog project."),
    },
    "Models": {
        "weights": ("pilotlight.cli.model.weights:command", "Fetch, list and verify model weights."),
        "export": ("pilotlight.cli.model.export:command", "Make an artifact for a faster engine, and check it."),
        "start-files": (
            "pilotlight.cli.model.start_files:command",
            "Record what a cold start reads, to read it ahead.",
        ),
    },
    "Gateway": {
        "gateway": ("pilotlight.cli.gateway.serve:command", "Serve Cog projects with Replicate's HTTP API."),
        "push": ("pilotlight.cli.gateway.push:command", "Push a Cog project as the current version of a model."),
        "versions": ("pilotlight.cli.gateway.versions:command", "List models and their versions."),
        "rollback": ("pilotlight.cli.gateway.rollback:command", "Make an earlier version of a model current again."),
        "deployment": (
            "pilotlight.cli.gateway.deployment:command",
            "Divide a deployment's requests among versions.",
        ),
        "gc": ("pilotlight.cli.gateway.gc:command", "Remove files of deleted versions and interrupted pushes."),
        "token": ("pilotlight.cli.gateway.token:command", "Create, list and revoke the API tokens of a gateway."),
        "top": ("pilotlight.cli.gateway.top:command", "Show models, workers and queues of a gateway, live."),
        "logs": ("pilotlight.cli.gateway.logs:command", "Show the logs of a gateway's workers and predictions."),
    },
}

_EXAMPLES = """\b
Examples:
  pilotlight predict -i prompt="def main(args):"
  pilotlight serve --project path/to/project --port 5000
  pilotlight COMMAND --help
"""


@click.group(
    cls=LazyGroup, sections=_SECTIONS, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="pilotlight")
def cli() -> None:
    """Run, measure and serve Cog projects on this machine, without Docker, and reach them on every platform."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a status listed in the module's docstring."""
    sys.exit(run(args))


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # characters that the terminal's encoding lacks are escaped
    for message in unknown_variables(os.environ):
        click.echo(f"Warning: {message}", err=True)
    try:
        status = cli.main(args, prog_name="pilotlight", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except PilotlightError as error:
        return _report(error)
    except BrokenPipeError:
        # The reader of stdout is gone; redirect stdout so that Python's flush at exit does not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status if isinstance(status, int) else 0


def _report(error: PilotlightError) -> int:
    if isinstance(error, WorkerError) and error.logs:
        echo_foreign(error.logs.rstrip("\n"), err=True)
    echo_foreign(f"Error: {error}", err=True)
    return 2 if isinstance(error, UsageError) else 1
