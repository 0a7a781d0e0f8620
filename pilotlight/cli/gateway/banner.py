"""The text that ``pilotlight gateway`` prints at its start: models, address, and an example call."""

from __future__ import annotations

import json

import click

from pilotlight.gateway import OpenGateway
from pilotlight.runtime.example_inputs import example_input


def introduce(opened: OpenGateway) -> None:
    """Print on stderr what a gateway serves, where it listens, and an example call."""
    projects = opened.gateway.catalog.projects
    pushed = [version for version in opened.gateway.versions if version.pushed]
    for version in projects:
        click.echo(f"Serving {version.project.root} as {version.model}:{version.id[:12]}", err=True)
    for version in pushed:
        click.echo(f"Serving {version.model}:{version.id[:12]}", err=True)
    if not projects and not pushed:
        click.echo(
            f"There is no cog.yaml here, and nothing has been pushed to {opened.home}: `pilotlight push DIR "
            "owner/name` creates a model, which is served from then on.",
            err=True,
        )
    click.echo(f"Listening at {opened.url}", err=True)
    served = [*projects, *pushed]
    if served:
        path = "predict" if projects or len(pushed) == 1 else f"v1/models/{served[0].model}/predictions"
        bearer = " -H 'Authorization: Bearer TOKEN'" if opened.guarded else ""
        example = json.dumps({"input": example_input(served[0].schema)})
        click.echo(
            f"Try: curl -s {opened.url}/{path}{bearer} -H 'Content-Type: application/json' -d '{example}'", err=True
        )
