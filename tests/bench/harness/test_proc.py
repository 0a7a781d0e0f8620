"""What the system counts, and what it is made to forget."""

import os
import subprocess
import sys

import pytest

from pilotlight.bench.cold.pagecache import drop
from pilotlight.bench.harness.proc import group_counters, group_members, steal_share, system_ticks, touched_files

# Takes 64 MiB and some time, keeps a file open, and waits to be told to end.
BUSY = """
import sys
block = b"x" * (64 << 20)
kept = open(sys.argv[1])
while __import__("time").process_time() < 0.3:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def busy(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path / "kept.txt")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.communicate(timeout=120)


def test_a_group_of_processes(busy, tmp_path):
    assert group_members(busy.pid) == [busy.pid]
    counters = group_counters(busy.pid)
    assert counters.peak_rss_bytes > 64 << 20
    assert counters.cpu_s >= 0.2
    assert counters.read_bytes >= 0
    assert counters.major_faults >= 0
    files = touched_files(busy.pid)
    assert tmp_path / "kept.txt" in files
    assert any("python" in path.name for path in files)
    assert not any(path.is_dir() for path in files)


def test_a_group_that_has_ended():
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait(120)
    assert group_counters(ended.pid) is None
    assert touched_files(ended.pid) == set()


def test_the_share_of_the_time_that_was_stolen():
    assert steal_share((1000, 10), (1200, 20)) == pytest.approx(0.05)
    assert steal_share((1000, 10), (1000, 10)) is None
    assert steal_share(None, (1, 1)) is None
    total, stolen = system_ticks()
    assert total > stolen >= 0


def test_files_are_taken_out_of_the_page_cache_and_those_that_are_gone_passed_over(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"x" * 100_000)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert drop("fadvise", [path, tmp_path / "gone", fifo]) == 1
    assert path.read_bytes() == b"x" * 100_000
