"""What ``pilotlight gateway`` says when it has started: what it serves, where, and what to try."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from pilotlight.gateway import Version
from pilotlight.gateway.ui.examples import example_input


def introduce(projects: Sequence[Version], pushed: Sequence[Version], home: Path, url: str, *, guarded: bool) -> None:
    """Says it on stderr.

    Args:
        projects: what is served from its folder.
        pushed: the current version of every model.
        home: where they are kept.
        url: where the gateway listens.
        guarded: whether callers need a token.
    """
    for version in projects:
        click.echo(f"Serving {version.project.root} as {version.model}:{version.id[:12]}", err=True)
    for version in pushed:
        click.echo(f"Serving {version.model}:{version.id[:12]}", err=True)
    if not projects and not pushed:
        click.echo(
            f"There is no cog.yaml here, and nothing has been pushed to {home}: pilotlight push DIR owner/name "
            "makes a model, which is served from then on.",
            err=True,
        )
    click.echo(f"Listening at {url}", err=True)
    served = [*projects, *pushed]
    if served:
        path = "predict" if projects or len(pushed) == 1 else f"v1/models/{served[0].model}/predictions"
        bearer = " -H 'Authorization: Bearer TOKEN'" if guarded else ""
        example = json.dumps({"input": example_input(served[0].document)})
        click.echo(f"Try: curl -s {url}/{path}{bearer} -H 'Content-Type: application/json' -d '{example}'", err=True)
