"""A `pilotlight gateway` process, for the scripts that measure it or torment it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2
import psutil

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = ROOT / "tests" / "cog" / "projects"
_PROGRAM = (sys.executable, "-c", "from pilotlight.cli import main; main()", "gateway")
_START_S = 120.0


class Gateway:
    """The process, which can be started over and over, on one port with one home.

    Args:
        folder: for its home, its temporary files and its log.
        projects: what it serves.
        options: of the command line.
    """

    def __init__(self, folder: Path, projects: Sequence[Path], options: Sequence[str] = ()) -> None:
        self.home = folder / "home"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.log = folder / "gateway.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [*_PROGRAM, "--port", str(port), "--home", str(self.home), *options, *map(str, projects)]
        self._family: set[psutil.Process] = set()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> psutil.Process:
        """The gateway itself; raises ``psutil.NoSuchProcess`` when it has ended."""
        assert self._process is not None, "this is a bug: it was not started"
        return psutil.Process(self._process.pid)

    async def start(self) -> None:
        """Returns when it listens."""
        with self.log.open("ab") as log:
            environment = {**os.environ, "TMPDIR": str(self.temporary)}
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, env=environment
            )
        async with asyncio.timeout(_START_S), httpx2.AsyncClient(base_url=self.url, trust_env=False) as http:
            while self._process.returncode is None:
                with contextlib.suppress(httpx2.TransportError):
                    await http.get("/health")
                    return
                await asyncio.sleep(0.02)
        raise SystemExit(f"the gateway ended with status {self._process.returncode}:\n{self.log.read_text()[-2000:]}")

    def workers(self) -> list[psutil.Process]:
        """The processes of its Cog servers that run now, without the guards that end them when the gateway has."""
        try:
            found = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._family.update(found)
        return [one for one in found if _name(one).startswith("python")]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit status."""
        assert self._process is not None, "this is a bug: it was not started"
        self.workers()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        return await self._process.wait()

    async def left(self, within_s: float) -> list[psutil.Process]:
        """Those of the processes that ``workers`` ever saw that still run after so long."""
        end_s = time.monotonic() + within_s
        while (left := [one for one in self._family if _alive(one)]) and time.monotonic() < end_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # not our children: there is no event
        return left


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        name: str = process.name()
        return name
    return ""


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
