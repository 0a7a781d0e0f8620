"""Free memory by what the kernel says: the machine, control groups of both versions and around each other, limits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pilotlight.engines.memory.machine import Sources, free_memory_bytes, mapped_weights

MB = 10**6
NO_LIMIT_V1 = 9223372036854771712


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "proc").mkdir()
    return Sources(tmp_path / "cgroup", tmp_path / "proc", machine_bytes=1000)


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_without_control_groups_it_is_what_the_machine_has(sources: Sources) -> None:
    assert free_memory_bytes(sources) == 1000
    assert free_memory_bytes() > 0


def test_a_container_is_bound_by_its_own_group(sources: Sources) -> None:
    (sources.process / "cgroup").write_text("0::/\n")
    group(sources.cgroups, memory__max="max", memory__current=5)
    assert free_memory_bytes(sources) == 1000
    group(sources.cgroups, memory__max=605)
    assert free_memory_bytes(sources) == 600
    group(sources.cgroups, memory__high=305)
    assert free_memory_bytes(sources) == 300


def test_cached_files_of_a_group_count_as_free(sources: Sources) -> None:
    (sources.process / "cgroup").write_text("0::/\n")
    group(sources.cgroups, memory__max=900, memory__current=800)
    group(sources.cgroups, memory__stat="anon 300\ninactive_file 200\nactive_file 250\nslab_reclaimable 50")
    assert free_memory_bytes(sources) == 600


def test_the_lowest_limit_of_nested_groups_holds(sources: Sources) -> None:
    (sources.process / "cgroup").write_text("0::/user/app/worker\n")
    group(sources.cgroups / "user/app/worker", memory__max=900, memory__current=100)
    group(sources.cgroups / "user/app", memory__max=500, memory__current=300)
    group(sources.cgroups / "user", memory__max="max", memory__current=300)
    assert free_memory_bytes(sources) == 200


def test_version_1_is_read_where_the_host_has_it(sources: Sources) -> None:
    (sources.process / "cgroup").write_text("5:cpu,cpuacct:/a\n4:memory:/docker/1f\n0::/\n")
    inside = sources.cgroups / "memory/docker/1f"
    group(inside, memory__limit_in_bytes=NO_LIMIT_V1, memory__usage_in_bytes=100)
    assert free_memory_bytes(sources) == 1000
    group(inside.parent, memory__limit_in_bytes=700, memory__usage_in_bytes=400)
    group(inside.parent, memory__stat="total_inactive_file 60\ntotal_active_file 40")
    assert free_memory_bytes(sources) == 400


def test_a_path_of_the_host_stands_for_the_containers_own_group(sources: Sources) -> None:
    for path in ("/kubepods/pod1/abc", "/../../abc"):
        (sources.process / "cgroup").write_text(f"4:memory:{path}\n")
        group(sources.cgroups / "memory", memory__limit_in_bytes=700, memory__usage_in_bytes=300)
        assert free_memory_bytes(sources) == 400


def test_mapped_files_of_weights_are_found(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text(
        "7f00-7f10 r--p 0 00:1 5 /models/my model/model.safetensors\n"
        "7f20-7f30 rw-p 0 00:1 5 /models/my model/model.safetensors\n"
        "8000-9000 r-xp 0 00:1 9 /usr/lib/libtorch.so\n"
        "a000-b000 rw-p 0 00:0 0 \n"
    )
    assert mapped_weights(tmp_path) == {"/models/my model/model.safetensors": 0x20}
    assert mapped_weights(tmp_path / "none") == {}


READ = "from pilotlight.engines.memory.machine import free_memory_bytes; print(free_memory_bytes())"


@contextmanager
def limited(limit_bytes: int) -> Iterator[list[str]]:
    """The words before a command that give it a control group with so much memory; ``ulimit -d`` without the rights."""
    for name, file in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        folder = Path("/sys/fs/cgroup") / name / f"pilotlight-test-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            try:
                (folder / file).write_text(str(limit_bytes))
                yield ["sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh"]
                return
            finally:
                with suppress(OSError):
                    folder.rmdir()
    yield ["sh", "-c", f'ulimit -d {limit_bytes // 1024} && exec "$@"', "sh"]


def test_a_real_limit_is_seen_by_the_process_under_it() -> None:
    with limited(400 * MB) as words:
        command = [*words, sys.executable, "-c", READ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert 200 * MB < int(done.stdout) < 400 * MB, done.stderr
