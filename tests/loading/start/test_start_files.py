"""What a start reads, listed and read ahead."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotlight.loading.start.residency import resident_ranges, resident_share
from pilotlight.loading.start.start_files import NAME, FileRanges, Places, read_ahead, read_list, write_list

PAGE = os.sysconf("SC_PAGESIZE")
SIZE_BYTES = 4096 * 4096 + 17


def evict(path: Path) -> None:
    """Out of the page cache, after it has reached the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_without_readahead(path: Path, offset: int, size: int) -> None:
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(file.fileno(), size, offset)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "weights.bin").write_bytes(os.urandom(SIZE_BYTES))
    (tmp_path / "module.py").write_bytes(b"# \n" * 100)
    return tmp_path


def listed(project: Path, *files: FileRanges) -> None:
    write_list(project / NAME, files)


def arrives(there: Callable[[], bool]) -> bool:
    """Whether it comes to be: the disk takes its time, and reading ahead does not wait for it."""
    tick = threading.Event()
    return any(there() or tick.wait(0.05) for _ in range(2400))


def wait(project: Path, **environ: str) -> bool:
    """Read ahead to its end; whether anything was begun."""
    thread = read_ahead(project, environ=environ)
    if thread is not None:
        thread.join()
    return thread is not None


def test_ranges_that_are_in_memory(project: Path) -> None:
    path = project / "weights.bin"
    evict(path)
    assert resident_ranges(path, gap_bytes=0) == []
    read_without_readahead(path, 10 * PAGE, 2 * PAGE)
    read_without_readahead(path, 20 * PAGE, PAGE)
    assert resident_ranges(path, gap_bytes=0) == [(10 * PAGE, 2 * PAGE), (20 * PAGE, PAGE)]
    assert resident_ranges(path, gap_bytes=8 * PAGE) == [(10 * PAGE, 11 * PAGE)]
    path.read_bytes()
    assert resident_ranges(path, gap_bytes=0) == [(0, SIZE_BYTES)]


def test_an_empty_file_has_no_ranges(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert resident_ranges(tmp_path / "empty", gap_bytes=0) == []


def test_paths_are_kept_relative_to_what_lies_elsewhere_on_another_machine(tmp_path: Path) -> None:
    here = Places({"{project}": tmp_path / "a", "{environment}": tmp_path / "a" / ".venv"})
    there = Places({"{project}": Path("/src"), "{environment}": Path("/opt/env")})
    for path, short, moved in (
        (tmp_path / "a" / "predict.py", "{project}/predict.py", "/src/predict.py"),
        (tmp_path / "a" / ".venv" / "lib" / "x.so", "{environment}/lib/x.so", "/opt/env/lib/x.so"),
        (Path("/lib/libc.so"), "/lib/libc.so", "/lib/libc.so"),
    ):
        assert here.shorten(path) == short
        assert here.expand(short) == path
        assert str(there.expand(short)) == moved


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = [FileRanges("{project}/a\u00e9 b.py", ((0, 3),)), FileRanges("/lib/x.so", ((0, 4096), (8192, 5)))]
    write_list(tmp_path / NAME, files)
    assert read_list(tmp_path / NAME) == files
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_reads_what_is_listed_of_a_cold_file_and_no_more(project: Path) -> None:
    path = project / "weights.bin"
    listed(project, FileRanges("{project}/module.py", ((0, 300),)), FileRanges("{project}/weights.bin", ((0, 2**20),)))
    evict(path)
    assert wait(project)
    assert arrives(lambda: resident_ranges(path, gap_bytes=0) == [(0, 2**20)])


def test_nothing_is_read_where_the_start_is_not_cold(project: Path) -> None:
    path, small = project / "weights.bin", project / "module.py"
    (project / "library.so").write_bytes(os.urandom(2**20))
    listed(
        project,
        FileRanges("{project}/module.py", ((0, 300),)),
        *(FileRanges(f"{{project}}/{name}", ((0, 2**20),)) for name in ("library.so", "weights.bin")),
    )
    path.read_bytes()
    small.read_bytes()
    evict(small)
    assert wait(project)
    assert resident_share(small) == 0.0


def test_what_the_image_lacks_is_passed_over(project: Path) -> None:
    path = project / "weights.bin"
    listed(project, FileRanges("{project}/gone.py", ((0, 9),)), FileRanges("{project}/weights.bin", ((0, SIZE_BYTES),)))
    evict(path)
    assert wait(project)
    assert arrives(lambda: resident_share(path) == 1.0)


def test_switched_off_or_without_a_list(project: Path) -> None:
    assert not wait(project)
    listed(project, FileRanges("{project}/module.py", ((0, 300),)))
    assert not wait(project, PILOTLIGHT_READ_AHEAD="0")
    assert wait(project, PILOTLIGHT_READ_AHEAD="1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "pilotlight-start-files", "format_version": 1}',
        '{"format": "pilotlight-start-files", "format_version": 2, "files": []}',
        '{"format": "pilotlight-start-files", "format_version": 1, "files": [["a"]]}',
        '{"format": "pilotlight-start-files", "format_version": 1, "files": [["a", 3]]}',
    ],
)
def test_a_damaged_list_is_said_and_not_used(project: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (project / NAME).write_text(text)
    assert wait(project)
    assert f"{NAME} is not used" in caplog.text


def test_one_line_for_each_file(tmp_path: Path) -> None:
    write_list(tmp_path / NAME, [FileRanges(f"/{name}", ((0, 1),)) for name in "abc"])
    lines = (tmp_path / NAME).read_text().splitlines()
    assert len(lines) == 5
    assert json.loads("".join(lines))["files"][1] == ["/b", [[0, 1]]]
