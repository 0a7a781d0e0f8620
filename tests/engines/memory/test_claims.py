"""Workers of one machine: what one has planned, another does not plan."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pilotlight.engines.memory.claims import Claim, Claims, outstanding_bytes
from pilotlight.engines.memory.layout import CacheLayout, LayerKind
from pilotlight.engines.memory.plan import CachePlan, MemoryNeeds, plan_cache
from pilotlight.engines.memory.reservation import reserve

GB = 10**9
CLAIM = Claim(pid=7, started=1.0, planned_bytes=1000, had_bytes=300, mapped={"a": 50})
NEEDS = MemoryNeeds(CacheLayout((LayerKind(1, 1000),), 100), context_tokens=10_000, slots=1000)


def plan(free_bytes: int) -> CachePlan:
    return plan_cache(NEEDS, free_bytes=free_bytes)


def test_what_a_process_has_taken_since_counts_no_more() -> None:
    assert outstanding_bytes([CLAIM], {7: 300}, {"a": 50}) == 1000
    assert outstanding_bytes([CLAIM], {7: 700}, {"a": 50}) == 600
    assert outstanding_bytes([CLAIM], {7: 5000}, {"a": 50}) == 0
    assert outstanding_bytes([CLAIM], {7: 100}, {"a": 50}) == 1000


def test_engines_of_one_process_add_up_and_files_are_shared() -> None:
    second = replace(CLAIM, planned_bytes=500, had_bytes=600)
    other = replace(CLAIM, pid=8, mapped={"a": 50, "b": 20})
    assert outstanding_bytes([CLAIM, second], {7: 900}, {}) == 1000 + 500 - 600 + 50
    assert outstanding_bytes([CLAIM, other], {7: 300, 8: 300}, {"a": 50}) == 2000 + 20


def test_a_second_worker_plans_beside_the_first_until_that_has_closed(tmp_path: Path) -> None:
    def planned() -> CachePlan:
        return second.plan

    first = reserve(plan, claims=Claims(tmp_path), free_bytes=lambda: 8 * GB)
    second = reserve(plan, claims=Claims(tmp_path), free_bytes=lambda: 8 * GB)
    assert planned().free_bytes == pytest.approx(8 * GB - first.plan.planned_bytes, abs=GB // 4)
    assert first.plan.planned_bytes + second.plan.planned_bytes < 8 * GB
    first.release()
    first.release()
    second.release()
    second = reserve(plan, claims=Claims(tmp_path), free_bytes=lambda: 8 * GB)
    assert planned().free_bytes == 8 * GB
    second.release()
    assert not list(tmp_path.glob("*.json"))


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def claim_of(process: psutil.Process, **changes: object) -> str:
    claim = {"pid": process.pid, "started": process.create_time(), "planned_bytes": GB, "had_bytes": GB, "mapped": {}}
    return json.dumps(claim | changes)


def test_claims_of_other_processes_count_while_those_live(tmp_path: Path, worker: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(worker.pid)
    (tmp_path / "1.json").write_text(claim_of(process))
    (tmp_path / "2.json").write_text(claim_of(process, started=process.create_time() - 100))  # an earlier one's number
    (tmp_path / "3.json").write_text("{")
    assert Claims(tmp_path).outstanding_bytes({}) == GB
    assert [path.name for path in tmp_path.glob("*.json")] == ["1.json"]
    worker.communicate()
    assert Claims(tmp_path).outstanding_bytes({}) == 0
    assert not list(tmp_path.glob("*.json"))


def test_without_a_folder_to_write_into_a_worker_plans_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = reserve(plan, claims=Claims(tmp_path / "file"), free_bytes=lambda: 8 * GB)
    assert made.plan.free_bytes == 8 * GB
    made.release()
