"""Real processes: whatever happens to us, nothing of a group is left."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.errors import WorkerCrashedError
from pilotlight.runtime.server.process import ProcessGroup, run_group

# Prints its own id and that of a child which ignores SIGTERM, then waits.
FAMILY = """
import os, signal, subprocess, sys
ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", ignore], stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
signal.pause()
"""
# Keeps a group, says who is in it, and waits to be killed.
KEEPER = """
import asyncio, os, sys
from pathlib import Path
from pilotlight.runtime.server.process import ProcessGroup

async def keep():
    argv = [sys.executable, "-c", sys.argv[1]]
    await ProcessGroup.start(argv, cwd=Path(), env=os.environ, on_line=lambda line: print(line, flush=True))
    await asyncio.Event().wait()

asyncio.run(keep())
"""


def alive(pid):
    """Whether it still runs; one that has ended and was not collected yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def ends(*pids):
    async with asyncio.timeout(120):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - not our children: nothing to wait on
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def group(code, lines=None, env=None):
    said = asyncio.Event()

    def on_line(line):
        if lines is not None:
            lines.append(line)
        said.set()

    started = await ProcessGroup.start(
        [sys.executable, "-c", code], cwd=Path(), env={**os.environ, **(env or {})}, on_line=on_line
    )
    try:
        async with asyncio.timeout(120):
            await said.wait()
        yield started
    finally:
        await started.stop(0)


def test_a_graceful_stop_ends_the_children_too():
    async def scenario():
        lines = []
        async with group(FAMILY, lines) as started:
            server, child = map(int, lines[0].split())
            assert started.pid == server
            await started.stop(10)
            assert started.returncode == -signal.SIGTERM
            await ends(server, child)
            await started.stop(10)

    asyncio.run(scenario())


def test_a_server_that_ignores_us_is_killed_after_the_grace():
    async def scenario():
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
        async with group(deaf) as started:
            assert not await started.wait(0.01)
            await started.stop(0.05)
            assert started.returncode == -signal.SIGKILL

    asyncio.run(scenario())


def test_a_server_that_ends_by_itself_leaves_its_status_and_its_output():
    async def scenario():
        lines = []
        code = "import sys; print('one'); print('two', file=sys.stderr, end=''); sys.exit(3)"
        async with group(code, lines, env={"PYTHONUNBUFFERED": "1"}) as started:
            assert await started.wait(120)
            assert started.returncode == 3
            await started.stop(1)
            assert lines == ["one", "two"]

    asyncio.run(scenario())


def test_long_lines_and_bytes_that_are_no_text():
    async def scenario():
        lines = []
        code = "import sys; sys.stdout.buffer.write(b'a' * 300_000 + b'\\nb\\xffc\\r\\n')"
        async with group(code, lines) as started:
            assert await started.wait(120)
            await started.stop(1)
        assert {len(line) > 0 and set(line) <= {"a"} for line in lines[:-1]} == {True}
        assert lines[-1] == "b\ufffdc"

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_we_are_killed_the_group_dies(number):
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, FAMILY], stdout=subprocess.PIPE, text=True)
    try:
        pids = [int(pid) for pid in keeper.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
    finally:
        keeper.send_signal(number)
        keeper.wait(120)
        keeper.stdout.close()
    asyncio.run(ends(*pids))


def test_what_cannot_be_started_is_an_error():
    async def start():
        await ProcessGroup.start(["true"], cwd=Path("not/there"), env={}, on_line=print)

    with pytest.raises(WorkerCrashedError, match="could not start true in not/there"):
        asyncio.run(start())


# Runs a command to its end, but is killed before.
RUNNER = """
import os, sys
from pathlib import Path
from pilotlight.runtime.server.process import run_group

run_group([sys.executable, "-c", sys.argv[1]], cwd=Path(), env=os.environ, output=sys.stdout, timeout_s=600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_that_was_waited_for_does_not_outlive_us(number):
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, FAMILY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout as output:
        server, child = map(int, output.readline().split())
    process.send_signal(number)
    process.wait(120)
    asyncio.run(ends(server, child))


def test_what_a_finished_command_leaves_behind_is_killed(tmp_path):
    leave = FAMILY.replace("signal.pause()\n", "")
    with (tmp_path / "log").open("w+b") as log:
        argv = [sys.executable, "-c", f"{leave}\nos._exit(3)"]
        assert run_group(argv, cwd=tmp_path, env=os.environ, output=log, timeout_s=120) == 3
    asyncio.run(ends(*map(int, (tmp_path / "log").read_text().split())))


def test_a_command_that_takes_too_long_is_killed(tmp_path):
    argv = [sys.executable, "-c", "import signal; signal.pause()"]
    with (tmp_path / "log").open("w+b") as log, pytest.raises(subprocess.TimeoutExpired):
        run_group(argv, cwd=tmp_path, env=os.environ, output=log, timeout_s=0.01)
