"""``pilotlight serve --on PLATFORM``: serves a project on RunPod, Vertex AI or SageMaker."""

from __future__ import annotations

import os

import click

from pilotlight.adapters import web
from pilotlight.adapters.clouds import runpod, sagemaker, vertex
from pilotlight.adapters.hosting import Host
from pilotlight.errors import UsageError
from pilotlight.runtime import KeeperOptions, Project, ServerOptions


def serve_on(
    platform: str,
    project: Project,
    server: ServerOptions,
    address: str,
    port: int | None,
    setup_timeout_s: float,
    grace_s: float,
    *,
    strict_inputs: bool,
) -> int:
    """Serve until stopped and return the exit status.

    ``port`` is in place of the one that the platform's environment variable names; RunPod's loop listens on none.

    Raises:
        UsageError: a port is given for RunPod.
        PilotlightError: the project does not start, or an environment variable of the platform is invalid.
    """
    # All of this before the start, which may take minutes.
    settings = vertex.settings_from(os.environ)
    if platform == "runpod":
        if port is not None:
            raise UsageError("--port: a RunPod worker listens on no port; it takes its jobs from RunPod's queue")
        runpod.require_package()
    elif port is None:
        port = settings.port if platform == "vertex" else sagemaker.port_from(os.environ)
    keeper_options = KeeperOptions(setup_timeout_s=setup_timeout_s, stop_grace_s=grace_s)
    with Host(project, server, keeper_options, strict_inputs=strict_inputs) as host:
        if platform == "runpod":
            click.echo(f"Serving {project.root} as a RunPod worker, {host.slots} at once", err=True)
            runpod.serve(host)
            return 0
        assert port is not None, "this is a bug: only RunPod's loop has no port"
        app = vertex.create_app(host, settings) if platform == "vertex" else sagemaker.create_app(host)
        click.echo(f"Serving {project.root} as a {platform} container at http://{address}:{port}", err=True)
        return web.run(app, address, port, grace_s)
