"""The same project at every kind of target that can run here: opened, killed, brought back.

A new platform is a row in ``capabilities.PLATFORMS``, and a function here that starts it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from pilotlight.client import Client, Retry
from pilotlight.runtime import Project, schema_for
from tests.adapters.clouds.runpod_service import ENDPOINT, RunPodWorker, runpod_service
from tests.adapters.fronts import on_a_thread, sagemaker_runtime, vertex_api
from tests.client.capabilities import PLATFORMS, Capabilities
from tests.cog.gateway_process import GatewayProcess, wait_until
from tests.paths import PROJECTS

_PROGRAM = [sys.executable, "-c", "from pilotlight.cli import main; main()", "serve", "--project"]
_VERTEX_NAME = "projects/p/locations/l/endpoints/1"
_SAGEMAKER_NAME = "endpoint1"


@dataclass
class Running:
    """What a platform of some kind is, once it is open.

    Attributes:
        target: of it, as a string.
        settings: what a client of it needs to be told besides.
        kill: ends all that serves there, as when the machine is lost.
        revive: does what the platform, or its owner, does about that; returns when it serves again.
    """

    target: str
    kill: Callable[[], None]
    revive: Callable[[], None]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Served:
    """A project at a platform, with a client of it."""

    kind: str
    running: Running
    client: Client

    @property
    def can(self) -> Capabilities:
        """What it can do."""
        return PLATFORMS[self.kind]

    def another(self, **settings: Any) -> Client:
        """A further client of it."""
        return Client(self.running.target, **{**self.running.settings, **settings})


class Program:
    """``pilotlight serve`` as a process at a port of its own, there again after each ``start``."""

    def __init__(self, folder: Path, path: str, *args: str, port_variable: str = "PORT") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._health = self.url + path
        self._command = [*_PROGRAM, str(folder), *args]
        self._environment = {**os.environ, port_variable: str(port)}

    def start(self) -> None:
        """Returns when it would answer, or has given up."""
        self.process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, env=self._environment)
        self._lines: list[str] = []
        # What it prints must not make it wait for us.
        self._reader = threading.Thread(target=lambda: self._lines.extend(self.process.stderr))
        self._reader.start()
        wait_until(lambda: self.process.poll() is not None or self._healthy())

    def _healthy(self) -> bool:
        try:
            answer = httpx2.get(self._health, trust_env=False)
        except httpx2.TransportError:
            return False
        return answer.status_code == 200 and "STARTING" not in answer.text

    def kill(self) -> None:
        """At once; what it has started goes with it."""
        self.process.kill()
        self._gone()
        wait_until(lambda: not self._healthy())

    def end(self) -> None:
        """In order."""
        self.process.terminate()
        self._gone()

    def _gone(self) -> None:
        self.process.wait(120)
        self._reader.join(120)
        self.process.stderr.close()

    @contextlib.contextmanager
    def up(self) -> Iterator["Program"]:
        """For as long as a block takes."""
        try:
            self.start()
            yield self
        finally:
            self.end()


@contextlib.contextmanager
def served_by_cog(folder: Path) -> Iterator[str]:
    """The URL of a Cog server in a process of its own."""
    with Program(folder, "/health-check").up() as program:
        yield program.url


@contextlib.contextmanager
def _project(folder: Path, path: Path) -> Iterator[Running]:
    def kill() -> None:
        """The Cog server, which is a child of this process: whose client it is cannot be killed here."""
        for pid in _children(folder):
            os.killpg(pid, signal.SIGKILL)

    yield Running(f"project:{folder}", kill, revive=lambda: None)  # its client does


def _children(folder: Path) -> list[int]:
    """Our child processes that work in ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found


@contextlib.contextmanager
def _cog(folder: Path, path: Path) -> Iterator[Running]:
    with Program(folder, "/health-check").up() as program:
        yield Running(f"cog:{program.url}", program.kill, program.start)


@contextlib.contextmanager
def _gateway(folder: Path, path: Path) -> Iterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    gateways = []

    def start() -> None:
        gateways.append(GatewayProcess(path, folder.name, args=("--min-workers", "1", "--port", port)))
        gateways[-1].wait_listening()

    def kill() -> None:
        gateways[-1].process.kill()
        gateways[-1].end()
        gateways[-1].process.stderr.close()

    start()
    try:
        yield Running(f"gateway:{gateways[-1].url}", kill, start)
    finally:
        kill()


@contextlib.contextmanager
def _runpod(folder: Path, path: Path) -> Iterator[Running]:
    workers = []

    def kill() -> None:
        for pid in workers[-1].processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        workers[-1].end()

    def start() -> None:
        worker = RunPodWorker(service, folder.name)
        workers.append(worker)
        wait_until(lambda: worker.process.poll() is not None or any("Serving " in line for line in worker.lines))

    with runpod_service() as service:
        start()
        settings = {"url": service.url, "token": "key", "schema": schema_for(Project.load(folder))}
        try:
            yield Running(f"runpod:{ENDPOINT}", kill, start, settings)
        finally:
            # Not by force: its heartbeat is a process of its own, which only it ends.
            workers[-1].end()


@contextlib.contextmanager
def _vertex(folder: Path, path: Path) -> Iterator[Running]:
    container = Program(folder, "/health", "--on", "vertex", port_variable="AIP_HTTP_PORT")
    with container.up(), on_a_thread(vertex_api(container.url, _VERTEX_NAME)) as url:
        settings = {"url": url, "token": "token", "schema": schema_for(Project.load(folder))}
        yield Running(f"vertex:{_VERTEX_NAME}", container.kill, container.start, settings)


@contextlib.contextmanager
def _sagemaker(folder: Path, path: Path) -> Iterator[Running]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "none")  # boto3 signs with something, whoever looks at it
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    container = Program(folder, "/ping", "--on", "sagemaker", port_variable="SAGEMAKER_BIND_TO_PORT")
    with container.up(), on_a_thread(sagemaker_runtime(container.url, _SAGEMAKER_NAME)) as url:
        settings = {"url": url, "schema": schema_for(Project.load(folder))}
        yield Running(f"sagemaker:{_SAGEMAKER_NAME}", container.kill, container.start, settings)


OPENERS = {
    "project": _project,
    "cog": _cog,
    "gateway": _gateway,
    "runpod": _runpod,
    "vertex": _vertex,
    "sagemaker": _sagemaker,
}


@contextlib.contextmanager
def open_platform(kind: str, folder: str, path: Path) -> Iterator[Served]:
    """``PROJECTS / folder`` at a platform of this kind; ``path`` is an empty folder for whoever needs one."""
    with OPENERS[kind](PROJECTS / folder, path) as running:
        # Two tries: a platform that is down on purpose is not waited for.
        running.settings.setdefault("retry", Retry(tries=2))
        with Client(running.target, **running.settings) as client:
            yield Served(kind, running, client)
