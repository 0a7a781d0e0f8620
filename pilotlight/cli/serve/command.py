"""``pilotlight serve``: runs the real Cog server of a project in the foreground."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pilotlight.cli.common.echo import echo_foreign
from pilotlight.cli.common.options import environment_option, project_option, python_option, setup_timeout_option
from pilotlight.cli.common.project import load_project
from pilotlight.cli.serve.ray_options import RayOptions, ray_options
from pilotlight.config.serving import ServeSettings
from pilotlight.config.variables import PLATFORMS, SERVE_HOST, SERVE_ON
from pilotlight.errors import UsageError, WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.runtime import LogLine, ServerOptions, Worker
from pilotlight.runtime.example_inputs import example_input
from pilotlight.runtime.predictor_schema import PredictorSchema
from pilotlight.runtime.schema.image_check import image_warning

_DEFAULT = ServeSettings()
_HEALTH_INTERVAL_S = 2.0

_EXAMPLES = """\b
Examples:
  pilotlight serve
  pilotlight serve --project path/to/project --host 0.0.0.0 --port 5000
  PORT=5000 pilotlight serve -e PILOTLIGHT_MODEL=path/to/model
  pilotlight serve --on sagemaker --host 0.0.0.0
  pilotlight serve --on ray --replicas 1:4
"""


@click.command("serve", epilog=_EXAMPLES)
@project_option
@click.option(
    "--host",
    default=_DEFAULT.host,
    show_default=True,
    envvar=SERVE_HOST.name,
    show_envvar=True,
    help="The IP address to listen on; 0.0.0.0 for all.",
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    default=_DEFAULT.port,
    show_default=True,
    envvar="PORT",
    show_envvar=True,
    help="The port to listen on.",
)
@click.option(
    "--on",
    "platform",
    type=click.Choice(PLATFORMS),
    default=_DEFAULT.platform,
    show_default=True,
    envvar=SERVE_ON.name,
    show_envvar=True,
    help="The contract to serve: Cog's own HTTP API, a RunPod serverless worker, a Vertex AI or SageMaker container, "
    "a Ray Serve application.",
)
@environment_option
@python_option
@setup_timeout_option
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(min=0),
    default=_DEFAULT.worker.grace_s,
    show_default=True,
    help="Seconds that running predictions may take after SIGTERM or Ctrl-C. A second signal ends them.",
)
@click.option(
    "--strict-inputs",
    is_flag=True,
    help="With --on: refuse a prediction with an input that the predictor does not have. By default it is ignored, as "
    "by Cog's server.",
)
@ray_options
def command(
    project_root: Path,
    host: str,
    port: int,
    platform: str,
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    grace_s: float,
    strict_inputs: bool,
    ray: RayOptions,
) -> int:
    """Serve a Cog project over HTTP, without Docker.

    The server is Cog's own, with its HTTP API. On SIGTERM or Ctrl-C it stops accepting requests, and exits when running
    predictions have ended, or after --grace. With --on, the same server runs behind the contract of another platform,
    which determines where it listens unless --port is given: RunPod's queue, AIP_HTTP_PORT or SAGEMAKER_BIND_TO_PORT.
    With --on ray, each replica is such a server, behind Cog's HTTP API.
    """
    address = _address(host)
    if platform == "ray":
        from pilotlight.cli.serve.ray import serve_ray, settings_from

        _check_free(address, port)
        settings = settings_from(
            project_root,
            ray,
            env=env,
            python=python,
            setup_timeout_s=setup_timeout_s,
            grace_s=grace_s,
            strict_inputs=strict_inputs,
        )
        return serve_ray(settings, ray, address, port)
    ray.refuse(platform)
    if platform != "cog":
        from pilotlight.cli.serve.platforms import serve_on  # imported only when needed

        server = ServerOptions(python=python, env={"COG_LOG_LEVEL": "warn", **env}, on_log=_echo, private=True)
        project = load_project(project_root)
        given = click.get_current_context().get_parameter_source("port") is ParameterSource.COMMANDLINE
        if given:
            _check_free(address, port)
        return serve_on(
            platform,
            project,
            server,
            address,
            port if given else None,
            setup_timeout_s,
            grace_s,
            strict_inputs=strict_inputs,
        )
    if strict_inputs:
        raise UsageError(
            "--strict-inputs: Cog's own server ignores unknown inputs; give --on, or use pilotlight gateway"
        )
    _check_free(address, port)
    variables = {"COG_LOG_LEVEL": "info", **env}
    options = ServerOptions(python=python, host=address, port=port, env=variables, on_log=_echo)
    try:
        return asyncio.run(_serve(Worker(load_project(project_root), options), setup_timeout_s, grace_s))
    except WorkerError as error:
        raise type(error)(str(error)) from error  # without its logs, which have been shown already


async def _serve(worker: Worker, setup_timeout_s: float, grace_s: float) -> int:
    """Serve until a signal or a crash; return 0 after SIGTERM, 130 after SIGINT."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    received = asyncio.create_task(signals.get())
    serving = asyncio.create_task(_run(worker, setup_timeout_s))
    try:
        await asyncio.wait([received, serving], return_when=asyncio.FIRST_COMPLETED)
        if not received.done():
            await serving  # raises its error
        click.echo("Stopping.", err=True)
        again = asyncio.create_task(signals.get())
        stopping = asyncio.create_task(worker.stop(grace_s))
        await asyncio.wait([again, stopping], return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        stopping.cancel()
        await asyncio.wait([stopping])
        return 130 if received.result() is signal.SIGINT else 0
    finally:
        received.cancel()
        serving.cancel()
        await asyncio.wait([serving])
        await worker.stop(0)


async def _run(worker: Worker, setup_timeout_s: float) -> None:
    await worker.start()
    await worker.wait_ready(setup_timeout_s)
    warning = image_warning(worker.project)
    if warning is not None:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"Serving {worker.project.root} at {worker.url}", err=True)
    click.echo(f"Try: {_example(worker.url, worker.schema)}", err=True)
    while True:
        await asyncio.sleep(_HEALTH_INTERVAL_S)
        with suppress(WorkerTimeoutError):  # busy, or the predictor holds the GIL
            health = await worker.health()
            if health.lost:
                raise WorkerCrashedError(f"the Python process of the Cog server is gone: {health.error}")


def _example(url: str, document: Mapping[str, Any]) -> str:
    body = json.dumps({"input": example_input(PredictorSchema.of(document))})
    return f"curl -s {url}/predictions -H 'Content-Type: application/json' -d '{body}'"


def _echo(line: LogLine) -> None:
    """Print the predictor's output and the server's warnings; the server's other messages are not shown."""
    if line.predictor or line.level != "INFO":
        echo_foreign(line.text, err=True)


def _address(host: str) -> str:
    """Return the address in the form that the server accepts."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise UsageError(f"--host {host!r}: give an IP address, such as 127.0.0.1 or 0.0.0.0") from None
    return f"[{address}]" if address.version == 6 else str(address)


def _check_free(address: str, port: int) -> None:
    """Check that the port is free, before a setup that may take minutes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.strip("[]"), port))
        except OSError as error:
            raise UsageError(f"cannot listen on {address}:{port}: {error.strerror}; choose another --port") from error
