"""``pilotlight rollback``: makes an earlier version of a model current again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from pilotlight.cli.gateway.home import home_option, registry_in, short

_EPILOG = """\b
Examples:
  pilotlight rollback acme/hello
  pilotlight rollback acme/hello 3f2a90bc
"""


@click.command("rollback", epilog=_EPILOG)
@click.argument("model", metavar="OWNER/NAME")
@click.argument("version", required=False, metavar="[VERSION]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
@home_option
def command(model: str, version: str | None, as_json: bool, home_folder: Path) -> None:
    """Make VERSION (an id or its beginning) the current version again; default: the previously current one.

    A running gateway applies it to new predictions immediately; running predictions finish on their version. A second
    rollback restores the version before the first.
    """
    before, now = registry_in(home_folder).roll_back(model, version, now=time.time())
    if as_json:
        click.echo(json.dumps({"model": model, "version": now, "before": before}, indent=2))
    else:
        click.echo(f"{model}:{short(now)} is current now, in place of {short(before)}")
