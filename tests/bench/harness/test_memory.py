"""A limit on the memory of a worker: here of any process that has a group, an id and logs, as a worker does."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pilotlight.bench.harness.memory import default_limit_bytes, within_memory
from pilotlight.bench.harness.proc import group_members, group_memory_bytes, oom_kills
from pilotlight.errors import WorkerCrashedError, WorkerMemoryError

# Says when it holds what it was told to, and waits to be told to end.
HOLDS = """
import mmap, sys
held = b"x" * (int(sys.argv[1]) << 20)
file = open(sys.argv[2], "r+b")
mapped = mmap.mmap(file.fileno(), 0)
touched = sum(mapped[::4096])
print("ready", flush=True)
sys.stdin.read()
"""


class Holder:
    """What ``within_memory`` needs of a worker."""

    logs = "held"
    project = SimpleNamespace(root=Path("p"))

    def __init__(self, process):
        self.pid = process.pid
        self._process = process

    async def stop(self, grace_s):
        assert grace_s == 0
        self._process.kill()
        self._process.wait(120)


@pytest.fixture
def holder(tmp_path):
    """Holds 100 MiB of its own, and 64 MiB of a file."""
    (tmp_path / "file").write_bytes(b"x" * (64 << 20))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, "100", str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    yield Holder(process)
    process.communicate(timeout=120)


def test_the_memory_of_a_group_does_not_count_files(holder):
    assert 100 << 20 < group_memory_bytes(holder.pid) < 150 << 20
    assert group_memory_bytes(1 << 30) == 0


async def forever():
    await asyncio.Event().wait()


async def one():
    return 1


async def crash():
    raise WorkerCrashedError("gone", logs="last words")


def test_work_that_stays_within_the_limit(holder):
    assert asyncio.run(within_memory(one(), holder, 1 << 40)) == 1
    with pytest.raises(WorkerCrashedError, match=r"^gone$"):
        asyncio.run(within_memory(crash(), holder, 1 << 40))


def test_work_beyond_the_limit_is_cancelled(holder):
    with pytest.raises(WorkerMemoryError, match=r"^p used 0\.1\d GiB of memory; the limit is 0\.05 GiB") as caught:
        asyncio.run(within_memory(forever(), holder, 50 << 20))
    assert caught.value.logs == "held"
    assert group_members(holder.pid) == []


def test_cancelled_it_cancels_the_work(holder):
    async def scenario():
        ended = asyncio.Event()

        async def work():
            try:
                await forever()
            finally:
                ended.set()

        limited = asyncio.create_task(within_memory(work(), holder, 1 << 40))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        limited.cancel()
        with pytest.raises(asyncio.CancelledError):
            await limited
        return ended.is_set()

    assert asyncio.run(scenario())


def test_the_default_limit_leaves_something_to_the_machine():
    assert 2**28 < default_limit_bytes() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert oom_kills() >= 0
