"""A Cog project as a Ray Serve application, for clusters of several machines.

There are two deployments. A ``RayReplica`` owns one real Cog server and runs as many concurrent predictions as the
project has slots; Ray scales the replicas by load. The ``Front`` serves Cog's HTTP API, so any client of a Cog server
works. It validates requests, queues predictions until a slot is free (so that waiting predictions survive the loss of a
replica), cancels predictions whose callers have disconnected, and reports those whose replica is lost. Ray's own
batching is not used, because the engine batches.

    from pilotlight.adapters.ray.application import Settings, application
    serve.run(application(RaySettings(project="path/to/project", min_replicas=1, max_replicas=4)))

or ``serve run pilotlight.adapters.ray:application project=path/to/project max_replicas=4``. The project has to be at
the same path on every node, for example in an image built from ``images/ray.Dockerfile``.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.adapters.calls import Calls
from pilotlight.adapters.cog_http import create_app
from pilotlight.adapters.hosting import Host
from pilotlight.adapters.ray.cluster import keep_to_loopback, ray_serve
from pilotlight.adapters.ray.settings import RaySettings, front_options, read_settings, replica_options
from pilotlight.errors import InputError, UsageError, WorkerBusyError, WorkerCrashedError, WorkerError
from pilotlight.runtime import (
    Event,
    HealthStatus,
    KeeperOptions,
    LogLine,
    Project,
    RestartPolicy,
    ServerOptions,
    schema_for,
)

__all__ = ["Front", "RayReplica", "RaySettings", "application"]


def application(settings: RaySettings | Mapping[str, Any]) -> Any:
    """Return the Serve application of a project, for ``serve.run``, ``serve run`` or a Serve configuration file.

    Raises:
        ConfigError: the package ``ray`` is not installed, a setting is invalid, or the folder is not a Cog project.
    """
    settings = read_settings(settings)
    settings = settings.model_copy(update={"project": settings.project.expanduser().resolve()})
    project = Project.load(settings.project)
    document = schema_for(project, python=settings.python or Path(sys.executable))
    serve = ray_serve()
    replica = serve.deployment(RayReplica).options(**replica_options(settings, project.max_concurrency))
    front = serve.deployment(serve.ingress()(Front)).options(name="Front", **front_options(settings))
    return front.bind(replica.bind(settings), settings, document, project.max_concurrency)


@dataclass(frozen=True, slots=True)
class _Refused:
    """An ``InputError`` sent from a replica to the front; the exception itself cannot be pickled."""

    name: str
    problem: str


Batch = list[Event | WorkerError | _Refused]


class RayReplica:
    """One Cog server and its slots, in a Ray process."""

    def __init__(self, settings: RaySettings) -> None:
        self._host: Host | None = None  # for __del__ if the following lines fail
        keep_to_loopback()
        # Ray sets uvloop's event loop policy, whose loops cannot start processes on a thread or be told from others.
        asyncio.set_event_loop_policy(None)
        if settings.cpus < 1:
            # Ray sets it to limit fractions of a processor; it is not meant for the predictor.
            os.environ.pop("OMP_NUM_THREADS", None)
        server = ServerOptions(
            python=settings.python or Path(sys.executable),
            env={"COG_LOG_LEVEL": "info", **settings.env},
            on_log=_show,
            private=True,
        )
        keeper_options = KeeperOptions(
            restarts=RestartPolicy(give_up_after=1),  # after that, Ray starts another replica
            setup_timeout_s=settings.setup_timeout_s,
            stop_grace_s=settings.grace_s,
        )
        host = Host(Project.load(settings.project), server, keeper_options)
        host.start()
        self._host = host

    def __del__(self) -> None:
        """Stop the server. Ray calls this when it ends a replica, after its last prediction."""
        host, self._host = self._host, None
        if host is not None:
            host.close()

    def check_health(self) -> None:
        """Raise if the replica is not healthy. Ray calls this periodically."""
        if self._host is None or not self._host.ready:
            raise WorkerError("the Cog server of this replica is not ready")

    async def run(
        self, inputs: Mapping[str, Any], prediction_id: str, context: Mapping[str, str] | None
    ) -> AsyncGenerator[Batch, None]:
        """Yield a prediction's events in batches of those that have arrived; an error is the last item."""
        assert self._host is not None, "this is a bug: Ray calls a replica that it has ended"
        batches = _batches(self._host.stream(inputs, prediction_id, context))
        try:
            async with aclosing(batches) as found:
                async for batch in found:
                    yield batch
        except InputError as error:
            yield [_Refused(error.name, error.problem)]
        except UsageError as error:  # another front has sent a prediction with the same id
            yield [WorkerBusyError(str(error))]
        except WorkerError as error:
            yield [error]


class Front:
    """Cog's HTTP API in front of the replicas; a ``cog_http.PredictionBackend``.

    Args:
        replicas: Ray's handle of the replicas.
        settings: of the application.
        document: the predictor's OpenAPI document.
        slots: maximum number of concurrent predictions of a replica.
    """

    def __init__(self, replicas: Any, settings: RaySettings, document: Mapping[str, Any], slots: int) -> None:
        keep_to_loopback()
        self.document = document
        self._replicas = replicas
        self._settings = settings
        self._slots = slots
        self._calls = Calls()
        serve = self._serve = ray_serve()
        here = serve.get_replica_context()
        self._app_name, self._name = here.app_name, here.deployment
        self._fronts = serve.get_deployment_handle(self._name, self._app_name)

    def __serve_build_asgi_app__(self) -> Any:
        """Return the ASGI application. Ray calls this after construction."""
        return create_app(self, self._calls, strict_inputs=self._settings.strict_inputs)

    async def stream(
        self, inputs: Mapping[str, Any], prediction_id: str, context: Mapping[str, str] | None
    ) -> AsyncGenerator[Event, None]:
        """As ``PredictionBackend.stream``. A prediction that a replica has accepted is never sent to another one."""
        response = self._replicas.options(stream=True).run.remote(inputs, prediction_id, context)
        try:
            with _mapped_errors(prediction_id):
                async for batch in response:
                    for event in batch:
                        if isinstance(event, _Refused):
                            raise InputError(event.name, event.problem)
                        if isinstance(event, WorkerError):
                            raise event
                        yield event
        except (asyncio.CancelledError, GeneratorExit):
            response.cancel()  # only here: cancelling a response that has failed raises its error again
            raise

    async def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction that another front is running."""
        if self._settings.fronts == 1:
            return False
        answers = await self._fronts.broadcast("cancel_here", prediction_id).results_async(return_exceptions=True)
        return True in answers

    def cancel_here(self, prediction_id: str) -> bool:
        """Cancel a prediction that this front is running."""
        return self._calls.cancel(prediction_id)

    async def health(self) -> HealthStatus:
        """Return Ray's status of the replicas as Cog's health status."""
        application_now = (await asyncio.to_thread(self._serve.status)).applications.get(self._app_name)
        if application_now is None or "Replica" not in application_now.deployments:
            return HealthStatus.STARTING
        found = application_now.deployments["Replica"]
        running = found.replica_states.get("RUNNING", 0)
        if running:
            return HealthStatus.BUSY if len(self._calls) >= running * self._slots else HealthStatus.READY
        if str(found.status.value) in ("UNHEALTHY", "DEPLOY_FAILED"):
            return HealthStatus.UNHEALTHY
        return HealthStatus.READY if self._settings.min_replicas == 0 else HealthStatus.STARTING


async def _batches(source: AsyncGenerator[Event, None]) -> AsyncGenerator[Batch, None]:
    """Yield the events of ``source`` in batches: all that have arrived since the previous batch was taken."""
    waiting: Batch = []
    come = asyncio.Event()

    async def read() -> None:
        async with aclosing(source) as events:
            async for event in events:
                waiting.append(event)
                come.set()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: come.set())
    try:
        while not reader.done() or waiting:
            await come.wait()
            come.clear()
            if waiting:
                batch, waiting[:] = [*waiting], []
                yield batch
        reader.result()  # raises its error
    finally:
        reader.cancel()
        await asyncio.wait([reader])


@contextmanager
def _mapped_errors(prediction_id: str) -> Iterator[None]:
    """Convert exceptions of Ray."""
    ray = importlib.import_module("ray.exceptions")
    serve = importlib.import_module("ray.serve.exceptions")
    try:
        yield
    except serve.BackPressureError as error:
        raise WorkerBusyError("too many predictions are waiting for a replica; try again later") from error
    except serve.DeploymentUnavailableError as error:
        raise WorkerError(f"no replica is available: {error}") from error
    except ray.RayActorError as error:
        raise WorkerCrashedError(
            f"the replica that had prediction {prediction_id} is lost; as it may have begun, it was not run again"
        ) from error
    except ray.RayError as error:
        raise WorkerCrashedError(f"Ray has lost prediction {prediction_id}: {error}") from error


def _show(line: LogLine) -> None:
    """Write the predictor's output and the server's warnings to this process's log in Ray."""
    if line.predictor or line.level != "INFO":
        os.write(2, f"{line.text}\n".encode())  # Ray may replace sys.stderr and print by its log
