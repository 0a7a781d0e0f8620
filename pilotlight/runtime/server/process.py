"""A server process and everything it starts, as one group that cannot outlive us.

The group has three members: the server, its children, and a guard: a shell of about one megabyte, which waits for the
end of a pipe that only we hold open. When this process ends, however it ends (SIGKILL included), the kernel closes the
pipe and the guard kills the group. No signal handler, no ``preexec_fn``, nothing specific to Linux. It does not reach a
process that has left the group with a session of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pilotlight.errors import WorkerCrashedError

# The first redirection keeps the pipe apart from the shell's standard input, which the shell replaces by /dev/null for
# whatever it runs in the background. The guard ignores the signals that ask the server to stop: it goes last.
_GUARDED = (
    "exec 3<&0; (trap '' HUP INT TERM; read _ <&3; kill -9 0) </dev/null >/dev/null 2>&1 & exec \"$@\" 3<&- </dev/null"
)

_LONGEST_LINE_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
# After SIGKILL only the kernel is between us and the end of the group; what takes longer hangs in a driver.
_KILL_S = 10.0


def run_group(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: BinaryIO, timeout_s: float) -> int:
    """Run ``argv`` as a process group until it ends, kill what it has left behind, and return its exit status.

    The status is that of a shell, 126 or 127, where ``argv`` could not be started.

    Args:
        argv: the command.
        cwd: its working directory.
        env: its variables.
        output: a file for both outputs; not a pipe, which a process that has left the group would keep open.
        timeout_s: how long it may take.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed with its group.
        OSError: the shell could not be started.
    """
    input_end, lifeline = os.pipe()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDED, "sh", *argv],
            stdin=input_end,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_KILL_S)
    finally:
        os.close(input_end)
        os.close(lifeline)


class ProcessGroup:
    """A running command that leads its own process group; made by ``start``.

    Attributes:
        spawned_at_s: the monotonic clock just before it was started.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        lifeline: int,
        output: int,
        on_line: Callable[[str], None],
        spawned_at_s: float,
    ) -> None:
        self.spawned_at_s = spawned_at_s
        self._process = process
        self._lifeline: int | None = lifeline
        self._on_line = on_line
        self._reader = asyncio.create_task(self._read_output(output))

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None]
    ) -> ProcessGroup:
        """Start ``argv`` with no input, both outputs read line by line into ``on_line``.

        Raises:
            WorkerCrashedError: it could not be started.
        """
        input_end, lifeline = os.pipe()
        output, output_end = os.pipe()
        spawned_at_s = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _GUARDED, "sh", *argv),
                stdin=input_end,
                stdout=output_end,
                stderr=output_end,
                cwd=cwd,
                env=dict(env),
                start_new_session=True,
            )
        except BaseException as error:
            os.close(lifeline)
            os.close(output)
            if isinstance(error, OSError):
                raise WorkerCrashedError(f"could not start {argv[0]} in {cwd}: {error}") from error
            raise
        finally:
            os.close(input_end)
            os.close(output_end)
        return cls(process, lifeline, output, on_line, spawned_at_s)

    @property
    def pid(self) -> int:
        """The id of the server, and of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The server's exit status, negative for a signal; ``None`` while it runs."""
        return self._process.returncode

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Return whether the server has ended within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, grace_s: float) -> None:
        """Ask the server to end (SIGTERM), and kill the whole group after ``grace_s`` or once the server has ended.

        Safe to call twice, and safe to be cancelled: the group dies at once then.
        """
        try:
            if self.returncode is None and grace_s > 0:
                with contextlib.suppress(ProcessLookupError):
                    self._process.terminate()
                await self.wait(grace_s)
        finally:
            self._kill()
        await self.wait(_KILL_S)
        # The pipe of the output ends with the last member of the group, or is given up here.
        await asyncio.wait([self._reader], timeout=_KILL_S)
        self._reader.cancel()

    def _kill(self) -> None:
        """Kill the group, guard included. As long as the guard runs no other group can have this number."""
        if self._lifeline is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._lifeline)
        self._lifeline = None

    async def _read_output(self, descriptor: int) -> None:
        # Our own pipe: the pipes of asyncio's subprocess make wait() wait for every process that holds them.
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", buffering=0)
        )
        rest = b""
        try:
            while chunk := await stream.read(_READ_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._keep(line)
                if len(rest) > _LONGEST_LINE_BYTES:
                    self._keep(rest)
                    rest = b""
        finally:
            transport.close()
            if rest:
                self._keep(rest)

    def _keep(self, line: bytes) -> None:
        self._on_line(line[:_LONGEST_LINE_BYTES].decode("utf-8", "replace").rstrip("\r"))
