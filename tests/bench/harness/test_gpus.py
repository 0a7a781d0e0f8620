"""What nvidia-smi says, and where there is none."""

import os

import pytest

from pilotlight.bench.harness.documents import Gpu
from pilotlight.bench.harness.gpus import GpuMemory, gpu_bytes, parse_apps, parse_gpus, parse_used, read_gpus

MIB = 2**20
# Answers as the real program does: two GPUs, this group's process on both, somebody else's on one.
SMI = """#!/bin/sh
case "$1" in
--query-gpu=name*) printf 'NVIDIA L4, 550.54.15, 23034\\nNVIDIA L4, 550.54.15, 23034\\n';;
--query-gpu=memory.used) cat "$(dirname "$0")/used";;
--query-compute-apps=*) printf '{group}, 400\\n{group}, 24\\n1, 9000\\n';;
esac
"""


def test_gpus():
    text = "NVIDIA H100 80GB HBM3, 570.86.10, 81559\nNVIDIA A100 MIG 1g.5gb, 570.86.10, [N/A]\n"
    assert parse_gpus(text) == (
        Gpu(name="NVIDIA H100 80GB HBM3", driver="570.86.10", memory_bytes=81559 * MIB),
        Gpu(name="NVIDIA A100 MIG 1g.5gb", driver="570.86.10", memory_bytes=None),
    )
    assert parse_gpus("") == ()


def test_processes_on_several_gpus_are_summed_and_what_is_unknown_left_out():
    assert parse_apps("12, 100\n13, 5\n12, 20\n14, [N/A]\n") == {12: 120 * MIB, 13: 5 * MIB}
    assert parse_apps("No running processes found\n") == {}


def test_memory_in_use():
    assert parse_used("12\n [N/A]\n30\n") == 42 * MIB


@pytest.mark.parametrize(
    ("apps", "used", "held"),
    [({7: 300, 9: 5}, 1000, 300), ({9: 5}, 1000, 600), ({}, 100, 0)],
)
def test_a_group_whose_ids_the_driver_does_not_know_holds_what_came_on_top(apps, used, held):
    assert gpu_bytes(apps, [6, 7], used, used_before=400) == held


def test_a_machine_without_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_gpus() == ()
    assert GpuMemory().of(os.getpgid(0)) is None


def test_a_machine_with_gpus(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI.replace("{group}", str(os.getpid())))
    program.chmod(0o755)
    (tmp_path / "used").write_text("9000\n0\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [gpu.memory_bytes for gpu in read_gpus()] == [23034 * MIB] * 2
    memory = GpuMemory()
    (tmp_path / "used").write_text("9400\n24\n")
    assert memory.of(os.getpgid(0)) == 424 * MIB
    assert memory.of(1 << 30) == 424 * MIB
