"""Loading a project for a command."""

from __future__ import annotations

from pathlib import Path

import click

from pilotlight.runtime import Project


def load_project(root: Path) -> Project:
    """Return the project in ``root``, and say on stderr which keys of its cog.yaml have no effect.

    Raises:
        ConfigError: anything is wrong with it.
    """
    project = Project.load(root)
    for note in project.notes:
        click.echo(f"Warning: cog.yaml: {note}", err=True)
    return project
