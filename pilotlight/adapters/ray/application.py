"""A Cog project as a Ray Serve application: for those who outgrow one machine.

Two deployments. A ``Replica`` owns one real Cog server and runs as many predictions at once as the project has slots;
Ray starts and ends replicas by the load. The ``Front`` speaks Cog's HTTP API, so that any client of a Cog server is one
of the cluster. It refuses what is wrong, holds what waits for a slot (so that what waits is lost with no replica),
cancels what its caller has left, and says what became of a prediction whose replica is gone. Ray's own batching is not
used: the engine batches, and knows better.

    from pilotlight.adapters.ray.application import Settings, application
    serve.run(application(RaySettings(project="path/to/project", min_replicas=1, max_replicas=4)))

or ``serve run pilotlight.adapters.ray:application project=path/to/project max_replicas=4``. The project has to be at
the same path on every node, best in an image that ``images/ray.Dockerfile`` makes.
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

__all__ = ["Front", "RaySettings", "Replica", "application"]


def application(settings: RaySettings | Mapping[str, Any]) -> Any:
    """The Serve application of a project, for ``serve.run``, ``serve run`` or a configuration file of Serve's.

    Raises:
        ConfigError: the package ``ray`` is not installed, a setting makes no sense, or the project is none.
    """
    settings = read_settings(settings)
    settings = settings.model_copy(update={"project": settings.project.expanduser().resolve()})
    project = Project.load(settings.project)
    document = schema_for(project, python=settings.python or Path(sys.executable))
    serve = ray_serve()
    replica = serve.deployment(Replica).options(**replica_options(settings, project.max_concurrency))
    front = serve.deployment(serve.ingress()(Front)).options(name="Front", **front_options(settings))
    return front.bind(replica.bind(settings), settings, document, project.max_concurrency)


@dataclass(frozen=True, slots=True)
class _Refused:
    """An ``InputError`` on its way to the front: as an exception it would not survive being pickled."""

    name: str
    problem: str


Batch = list[Event | WorkerError | _Refused]


class Replica:
    """One Cog server and its slots, in a process of Ray's."""

    def __init__(self, settings: RaySettings) -> None:
        self._host: Host | None = None  # what __del__ finds where the next lines fail
        keep_to_loopback()
        # Ray makes uvloop's the process's loops, which can neither start processes on a thread nor be told from others.
        asyncio.set_event_loop_policy(None)
        if settings.cpus < 1:
            # Ray's way of keeping fractions of a processor from using more; it is no statement about the predictor.
            os.environ.pop("OMP_NUM_THREADS", None)
        server = ServerOptions(
            python=settings.python or Path(sys.executable),
            env={"COG_LOG_LEVEL": "info", **settings.env},
            on_log=_show,
        )
        keeper_options = KeeperOptions(
            restarts=RestartPolicy(give_up_after=1),  # then it is Ray's turn
            setup_timeout_s=settings.setup_timeout_s,
            stop_grace_s=settings.grace_s,
        )
        host = Host(Project.load(settings.project), server, keeper_options)
        host.start()
        self._host = host

    def __del__(self) -> None:
        """Ray calls this when it ends a replica, after its last prediction."""
        host, self._host = self._host, None
        if host is not None:
            host.close()

    def check_health(self) -> None:
        """Ray's question; an exception is a no."""
        if self._host is None or not self._host.ready:
            raise WorkerError("the Cog server of this replica is not ready")

    async def run(
        self, inputs: Mapping[str, Any], prediction_id: str, context: Mapping[str, str] | None
    ) -> AsyncGenerator[Batch, None]:
        """The events of one prediction, as many together as have come meanwhile; what went wrong comes as the last."""
        assert self._host is not None, "this is a bug: Ray calls a replica that it has ended"
        batches = _batches(self._host.stream(inputs, prediction_id, context))
        try:
            async with aclosing(batches) as found:
                async for batch in found:
                    yield batch
        except InputError as error:
            yield [_Refused(error.name, error.problem)]
        except UsageError as error:  # the id is taken here, by a prediction that came in by another front
            yield [WorkerBusyError(str(error))]
        except WorkerError as error:
            yield [error]


class Front:
    """Cog's HTTP API in front of the replicas; a ``cog_http.Backend``.

    Args:
        replicas: Ray's handle of them.
        settings: of the application.
        document: the predictor's OpenAPI document.
        slots: predictions that a replica runs at once.
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
        """Ray asks for the application once this has been made."""
        return create_app(self, self._calls)

    async def stream(
        self, inputs: Mapping[str, Any], prediction_id: str, context: Mapping[str, str] | None
    ) -> AsyncGenerator[Event, None]:
        """As ``cog_http.Backend`` says. What a replica has taken is never sent to another one."""
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
            response.cancel()  # only here: of a response that has failed it raises the failure once more
            raise

    async def cancel(self, prediction_id: str) -> bool:
        """Asks the other fronts."""
        if self._settings.fronts == 1:
            return False
        answers = await self._fronts.broadcast("cancel_here", prediction_id).results_async(return_exceptions=True)
        return True in answers

    def cancel_here(self, prediction_id: str) -> bool:
        """Cancels what was asked for at this front."""
        return self._calls.cancel(prediction_id)

    async def health(self) -> HealthStatus:
        """What Ray says of the replicas, in Cog's words."""
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
    """The events of ``source``: all that have come since the last were taken, together."""
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
        reader.result()  # raises what ended it
    finally:
        reader.cancel()
        await asyncio.wait([reader])


@contextmanager
def _mapped_errors(prediction_id: str) -> Iterator[None]:
    """What Ray raises, in our words."""
    ray = importlib.import_module("ray.exceptions")
    serve = importlib.import_module("ray.serve.exceptions")
    try:
        yield
    except serve.BackPressureError as error:
        raise WorkerBusyError("too many predictions are waiting for a replica; try again later") from error
    except serve.DeploymentUnavailableError as error:
        raise WorkerError(f"there is no replica to run on: {error}") from error
    except ray.RayActorError as error:
        raise WorkerCrashedError(
            f"the replica that had prediction {prediction_id} is gone; as it may have begun, it was not run again"
        ) from error
    except ray.RayError as error:
        raise WorkerCrashedError(f"Ray has lost prediction {prediction_id}: {error}") from error


def _show(line: LogLine) -> None:
    """What the predictor says and what the server warns of, into Ray's log of this process."""
    if line.predictor or line.level != "INFO":
        os.write(2, f"{line.text}\n".encode())  # Ray may put its log in the place of sys.stderr, and of print
