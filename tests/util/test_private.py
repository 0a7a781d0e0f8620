"""Files and folders of their owner alone."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.errors import StoreError, UsageError
from pilotlight.util.private import make_private_file, make_private_folder, require_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_is_new_is_private_whatever_the_umask(tmp_path):
    make_private_folder(tmp_path / "a" / "b")
    make_private_file(tmp_path / "file")
    assert (mode(tmp_path / "a" / "b"), mode(tmp_path / "file")) == (0o700, 0o600)


def test_what_exists_is_closed_and_keeps_its_content(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir(mode=0o755)
    file.write_text("content")
    file.chmod(0o664)
    make_private_folder(folder)
    make_private_file(file)
    assert (mode(folder), mode(file), file.read_text()) == (0o700, 0o600, "content")


def test_a_folder_that_all_users_share_is_refused_and_left_alone(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(UsageError, match="all users share"):
        make_private_folder(shared)
    assert mode(shared) == 0o1777


@pytest.mark.parametrize("fails", [True, False])
def test_what_cannot_be_closed_is_refused(tmp_path, monkeypatch, fails):
    def chmod(*_, **__):
        if fails:
            raise PermissionError(1, "Operation not permitted")
        # else as on a file system without permissions: nothing happens

    file = tmp_path / "file"
    file.touch(0o644)
    monkeypatch.setattr(type(file), "chmod", chmod)
    with pytest.raises(UsageError, match=r"other users can open the file .*file \(mode 0644\)"):
        require_private(file)


def test_a_file_that_cannot_be_created_says_which_and_why(tmp_path):
    with pytest.raises(StoreError, match=r"none/file cannot be read or written: No such file"):
        make_private_file(tmp_path / "none" / "file")


def test_an_existing_file_keeps_the_locks_of_this_process(tmp_path: Path) -> None:
    """Closing any descriptor of a file ends the POSIX locks that the process has on it."""
    file = tmp_path / "file"
    with file.open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        make_private_file(file)
        attempt = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        other = subprocess.run([sys.executable, "-c", attempt, file], stderr=subprocess.PIPE, text=True, check=False)
        assert "BlockingIOError" in other.stderr
