"""``pilotlight serve --on PLATFORM``: serves a project on RunPod, Vertex AI or SageMaker."""

from __future__ import annotations

import os

import click

from pilotlight.adapters import web
from pilotlight.adapters.clouds import runpod, sagemaker, vertex
from pilotlight.adapters.hosting import Host
from pilotlight.runtime import KeeperOptions, Project, ServerOptions


def serve_on(
    platform: str,
    project: Project,
    server: ServerOptions,
    address: str,
    setup_timeout_s: float,
    grace_s: float,
    *,
    strict_inputs: bool,
) -> int:
    """Serve until stopped and return the exit status.

    Raises:
        PilotlightError: the project does not start, or an environment variable of the platform is invalid.
    """
    # Read before the start, which may take minutes.
    settings, sagemaker_port = vertex.settings_from(os.environ), sagemaker.port_from(os.environ)
    keeper_options = KeeperOptions(setup_timeout_s=setup_timeout_s, stop_grace_s=grace_s)
    with Host(project, server, keeper_options, strict_inputs=strict_inputs) as host:
        if platform == "runpod":
            click.echo(f"Serving {project.root} as a RunPod worker, {host.slots} at once", err=True)
            runpod.serve(host)
            return 0
        port = settings.port if platform == "vertex" else sagemaker_port
        app = vertex.create_app(host, settings) if platform == "vertex" else sagemaker.create_app(host)
        click.echo(f"Serving {project.root} as a {platform} container at http://{address}:{port}", err=True)
        return web.run(app, address, port, grace_s)
