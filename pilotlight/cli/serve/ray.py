"""``pilotlight serve --on ray``: serves a project as a Ray Serve application while the command runs."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click

from pilotlight.adapters.ray.application import application
from pilotlight.adapters.ray.cluster import joined_cluster, local_cluster, ray_serve, serve_url
from pilotlight.adapters.ray.settings import RaySettings
from pilotlight.cli.serve.ray_options import RayOptions
from pilotlight.errors import SetupFailedError, UsageError, WorkerError
from pilotlight.runtime import Project, schema_for

_NAME = "pilotlight"
_LOOK_S = 1.0
# A pilotlight error at the end of the traceback that Ray keeps of a replica that failed to start.
_OURS = re.compile(r"^pilotlight\.errors\.\w+: (.*)", re.MULTILINE | re.DOTALL)


class _StoppedError(BaseException):
    """Raised when a signal arrives, at any point of the program."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def serve_ray(settings: RaySettings, ray: RayOptions, host: str, port: int) -> int:
    """Serve until SIGTERM (returns 0) or Ctrl-C (130); a grace period follows, which a second signal ends.

    Raises:
        PilotlightError: there is no cluster, or the application does not start on it.
    """
    # Reports an invalid project before anything is started.
    schema_for(Project.load(settings.project), python=settings.python or Path(sys.executable))
    cluster = joined_cluster(ray.address) if ray.address else local_cluster(settings.total_cpus)
    try:
        with cluster, _stoppable(), _running(settings, host, port) as url:
            click.echo(f"Serving {settings.project} on Ray at {url}", err=True)
            _watch(settings)
    except _StoppedError as stopped:
        return 130 if stopped.number == signal.SIGINT else 0
    raise AssertionError("this is a bug: watching ends with an error only")


def settings_from(
    project: Path,
    ray: RayOptions,
    *,
    env: Mapping[str, str],
    python: Path,
    setup_timeout_s: float,
    grace_s: float,
    strict_inputs: bool,
) -> RaySettings:
    """Return the settings given on the command line, with defaults for the others."""
    least, most = ray.replicas or (1, 1)
    given: dict[str, Any] = {
        "cpus": ray.cpus,
        "gpus": ray.gpus,
        "fronts": ray.fronts,
        "max_waiting": ray.max_waiting,
    }
    return RaySettings(
        project=project,
        min_replicas=least,
        max_replicas=most,
        env=dict(env),
        python=python,
        setup_timeout_s=setup_timeout_s,
        grace_s=grace_s,
        strict_inputs=strict_inputs,
        **{name: value for name, value in given.items() if value is not None},
    )


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Raise ``_StoppedError`` on signals; Ray's own handler, installed earlier, would end the cluster first."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _StoppedError(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    yield


@contextlib.contextmanager
def _running(settings: RaySettings, host: str, port: int) -> Iterator[str]:
    """Provide the URL of the running application; drain and delete the application at the end."""
    serve = ray_serve()
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(http_options={"host": host.strip("[]"), "port": port})
    if _NAME in serve.status().applications:
        raise UsageError(f"the cluster already runs an application {_NAME!r}: end that command first")
    try:
        try:
            serve.run(application(settings), name=_NAME)
        except RuntimeError as error:
            raise SetupFailedError(_reason(serve) or str(error)) from error
        yield serve_url() or f"http://{host}:{port}"
    except _StoppedError:
        click.echo("Stopping.", err=True)
        raise
    finally:
        serve.delete(_NAME)


def _reason(serve: Any) -> str | None:
    """Return the reason why the application did not start, or ``None`` if it is unknown."""
    found = serve.status().applications.get(_NAME)
    messages = [one.message for one in found.deployments.values() if one.message] if found else []
    if not messages:
        return None
    match = _OURS.search(messages[0])
    return (match[1] if match else messages[0]).strip()


def _watch(settings: RaySettings) -> None:
    """Print the number of running replicas whenever it changes; returns only by a signal.

    Raises:
        WorkerError: the application was deleted.
    """
    pause, seen = threading.Event(), settings.min_replicas
    while True:
        pause.wait(_LOOK_S)
        application_now = ray_serve().status().applications.get(_NAME)
        if application_now is None:
            raise WorkerError(f"the application {_NAME!r} has been deleted from the cluster")
        running = application_now.deployments["Replica"].replica_states.get("RUNNING", 0)
        if running != seen:
            click.echo(f"{running} {'replica runs' if running == 1 else 'replicas run'}", err=True)
            seen = running
