from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pilotlight.loading.start.prefetch import Prefetch
from pilotlight.loading.start.residency import resident_share

SIZE_BYTES = 20 * 2**20 + 17


def evict(path: Path) -> None:
    """Out of the page cache, after it has reached the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model-1.safetensors").write_bytes(os.urandom(SIZE_BYTES))
    (tmp_path / "model-2.safetensors").write_bytes(os.urandom(SIZE_BYTES))
    (tmp_path / "small.safetensors").write_bytes(b"1")
    (tmp_path / "notes.txt").write_bytes(os.urandom(SIZE_BYTES))
    return tmp_path


def test_how_much_is_in_memory(folder: Path) -> None:
    path = folder / "model-1.safetensors"
    path.read_bytes()
    assert resident_share(path) == 1.0
    evict(path)
    assert resident_share(path) < 0.5
    (folder / "empty").touch()
    assert resident_share(folder / "empty") == 1.0


def test_reads_what_is_missing_and_nothing_else(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (folder / "model-1.safetensors").read_bytes()
    for name in ("model-2.safetensors", "notes.txt", "small.safetensors"):
        evict(folder / name)
    prefetch = Prefetch(folder)
    prefetch.wait()
    assert prefetch.read_bytes == SIZE_BYTES
    assert resident_share(folder / "model-2.safetensors") == 1.0
    assert resident_share(folder / "notes.txt") < 0.5
    assert "read 21 MB of weights beside the imports" in caplog.text


def test_nothing_to_do_is_no_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for path in folder.iterdir():
        path.read_bytes()
    prefetch = Prefetch(folder)
    prefetch.wait()
    assert prefetch.read_bytes == 0
    assert [record for record in caplog.records if record.name.startswith("pilotlight")] == []


def test_a_folder_that_is_not_there_is_left_to_the_loader(tmp_path: Path) -> None:
    prefetch = Prefetch(tmp_path / "none")
    prefetch.wait()
    assert prefetch.read_bytes == 0


def test_it_can_be_stopped(folder: Path) -> None:
    evict(folder / "model-1.safetensors")
    evict(folder / "model-2.safetensors")
    prefetch = Prefetch(folder)
    prefetch.close()
    assert [thread for thread in threading.enumerate() if thread.name == "prefetch"] == []
