"""Files that are replaced as a whole."""

import os
import stat
from pathlib import Path

import pytest

from pilotlight.util.files import write_atomically


@pytest.mark.parametrize("content", ["n\u00e9w", "n\u00e9w".encode()])
@pytest.mark.parametrize("fsync", [False, True])
def test_a_file_is_replaced(tmp_path: Path, content: str | bytes, fsync: bool) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old, and longer")
    write_atomically(path, content, fsync=fsync)
    assert path.read_text(encoding="utf-8") == "n\u00e9w"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_goes_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with path.open() as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()  # a folder cannot be replaced by a file: the write fails at its last step
    with pytest.raises(OSError):
        write_atomically(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_text_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"


def test_the_mode_is_that_of_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "public")
    masked = stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    assert masked == 0o666 & ~mask
    write_atomically(path, "secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 & ~mask
