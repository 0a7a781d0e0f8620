"""A Cog server as a process: its environment, its port, what it prints, and whether it is ready.

The server is a Rust process that starts one Python process, in which the predictor lives. Both, and whatever the
predictor starts, are one process group that dies with us (see ``process``).
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotlight.config.tokens import predictor_environment
from pilotlight.errors import ConfigError, SetupFailedError, WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.loading.start.start_files import read_ahead
from pilotlight.runtime.environment_advice import environment_advice
from pilotlight.runtime.health import Health, HealthStatus, setup_failure
from pilotlight.runtime.http.cog_api import CogApi
from pilotlight.runtime.http.source_port import SourcePort, is_supported
from pilotlight.runtime.project import Project
from pilotlight.runtime.server.output_tail import Tail
from pilotlight.runtime.server.process import ProcessGroup
from pilotlight.runtime.server.server_log import LogLine, parse_line

_POLL_S = 0.02
# A port that we found free can be taken by someone else before the server binds it.
_PORT_ATTEMPTS = 3
_PORT_TAKEN = "Address already in use"
# So much can be the reason why a setup is slow.
_MUCH_PRINTED_BYTES = 1_000_000
_LAST_WORDS_S = 2.0
_LOOPBACK = "127.0.0.1"
_PRIVATE_SERVER = Path(__file__).with_name("private_server.py")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to run a project's server.

    Attributes:
        python: the interpreter whose environment has cog and what the predictor imports.
        host: the address to listen on.
        port: the port to listen on; ``None`` picks a free one.
        env: variables on top of this process's and the project's.
        on_log: called with every line that the server or its predictor prints, as it comes.
        sse: whether predictions are streamed as server-sent events; in one piece they cost less, but come without
            the logs of those that fail.
        private: whether the server takes connections from this user only, which Linux can do on 127.0.0.1. ``url`` is
            then of no use to others.
    """

    python: Path = field(default_factory=lambda: Path(sys.executable))
    host: str = _LOOPBACK
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    on_log: Callable[[LogLine], None] | None = None
    sse: bool = True
    private: bool = False


class CogServer:
    """The server of ``project``, from ``start`` to ``stop``.

    Raises:
        ConfigError: the interpreter is not one that Cog can start.
    """

    def __init__(self, project: Project, options: ServerOptions) -> None:
        self._project = project
        self._options = options
        self._environment = _environment(project, options)
        self._log = Tail()
        self._port = 0
        self._source: SourcePort | None = None

    @property
    def url(self) -> str:
        return f"http://{self._options.host}:{self._port}"

    @property
    def pid(self) -> int:
        """The id of the server process and of its group."""
        return self._group.pid

    @property
    def spawned_at_s(self) -> float:
        """The monotonic clock just before the server process was started, the last time it was."""
        return self._group.spawned_at_s

    @property
    def logs(self) -> str:
        """What the predictor has printed, and what broke the server if it did, as far back as is kept."""
        return str(self._log)

    @property
    def api(self) -> CogApi:
        return self._api

    async def start(self) -> None:
        """Start the process, which begins with ``setup()``: see ``wait_ready``.

        Raises:
            WorkerCrashedError: it could not be started.
        """
        self._port = self._options.port or _free_port(self._options.host)
        read_ahead(self._project.root, self._options.python, self._environment)
        if self._options.private and self._options.host == _LOOPBACK and is_supported():
            self._source = SourcePort()
        try:
            self._group = await ProcessGroup.start(
                [str(self._options.python), *self._program(), "--host", self._options.host],
                cwd=self._project.root,
                env={**self._environment, "PORT": str(self._port)},
                on_line=self._take_line,
            )
        except BaseException:
            self._close_source()
            raise
        self._api = CogApi(self.url, sse=self._options.sse, source=self._source)

    async def wait_ready(self, timeout_s: float) -> Health:
        """Wait for ``setup()`` to finish.

        Raises:
            SetupFailedError: it raised, or the predictor could not be loaded; carries what was printed; the server has
                been stopped.
            WorkerCrashedError: the server or its Python process died; carries what was printed.
            WorkerTimeoutError: neither within ``timeout_s``; the server is still running then.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wait_ready()
        except TimeoutError:
            raise WorkerTimeoutError(
                f"setup of {self._project.root}{self._printed()} did not finish within {timeout_s:g} s; "
                "allow more, or look at what it printed",
                logs=self.logs,
            ) from None

    async def health(self) -> Health:
        """Ask the server for its health.

        Raises:
            WorkerCrashedError: it is gone.
            WorkerTimeoutError: it does not answer.
        """
        if self._group.returncode is not None:
            raise self._died("")
        return await self._api.health()

    async def stop(self, grace_s: float) -> None:
        """Let running predictions end for up to ``grace_s``, then kill the process group. Safe to call twice."""
        try:
            await self._group.stop(grace_s)
        finally:
            await self._api.close()
            self._close_source()

    def crashed(self, what: str) -> WorkerCrashedError:
        """Return the error for a crash, with what was printed."""
        return WorkerCrashedError(what, logs=self.logs)

    def _program(self) -> list[str]:
        """Return what the interpreter runs: Cog's HTTP server, or that behind a packet filter."""
        if self._source is None:
            return ["-m", "cog.server.http"]
        return [str(_PRIVATE_SERVER), str(self._source.number)]

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()

    async def _wait_ready(self) -> Health:
        attempts = 1
        while True:
            health = await self._ask()
            # A process that has ended first: what answers on the port may be somebody else's.
            if await self._group.wait(_POLL_S):
                if attempts == _PORT_ATTEMPTS or self._options.port or _PORT_TAKEN not in self.logs:
                    raise self._died("before it was ready")
                attempts += 1
                await self.stop(0)
                self._log.clear()
                await self.start()
            elif health is None:
                continue
            elif health.ready:
                return health
            elif health.status is HealthStatus.SETUP_FAILED:
                # To the last line: the server prints them while it already answers. What the predictor prints in its
                # last milliseconds the server itself may lose.
                await self._group.stop(_LAST_WORDS_S)
                reason = setup_failure(health.setup_logs)
                reason += environment_advice(reason, self._project, self._options.python)
                raise SetupFailedError(f"setup of {self._project.root} failed: {reason}", logs=self.logs)
            elif health.lost:
                raise self.crashed("the Python process of the Cog server died during setup")

    async def _ask(self) -> Health | None:
        """Return its health; ``None`` when no Cog server answers (yet)."""
        try:
            return await self._api.health()
        except SetupFailedError as error:
            await self._group.stop(0)
            raise SetupFailedError(
                f"setup of {self._project.root}{self._printed()} failed: {error}", logs=self.logs
            ) from None
        except WorkerError:
            return None

    def _take_line(self, text: str) -> None:
        line = parse_line(text)
        if line.predictor:
            self._log.append(line.text)
        if self._options.on_log is not None:
            self._options.on_log(line)

    def _printed(self) -> str:
        """Return how much was printed, for a message, where it is much."""
        printed_bytes = self._log.printed_bytes
        return f", which printed {printed_bytes:,} bytes," if printed_bytes >= _MUCH_PRINTED_BYTES else ""

    def _died(self, when: str) -> WorkerCrashedError:
        status = self._group.returncode
        how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
        return self.crashed(f"the Cog server of {self._project.root} {how} {when}".rstrip())


def _environment(project: Project, options: ServerOptions) -> dict[str, str]:
    folder = options.python.absolute().parent
    # coglet starts whatever `python` the PATH has; without one here the predictor would run in somebody else's.
    if not (folder / "python").exists():
        raise ConfigError(f"{folder} has no `python`, which Cog starts by that name; use a virtual environment's")
    return {
        **predictor_environment(os.environ),
        "COG_LOG_LEVEL": os.environ.get("COG_LOG_LEVEL", "warn"),
        **project.server_environment(),
        **options.env,
        "LOG_FORMAT": "json",
        "PATH": os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)]),
    }


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
