"""Files by their content."""

import hashlib

import pytest

from pilotlight.errors import StoreError
from pilotlight.gateway.registry.blobs import Blobs
from pilotlight.gateway.registry.digest import LARGE_BYTES

SMALL, LARGE = b"small", b"large" * LARGE_BYTES


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def file(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("content", [b"", SMALL, LARGE])
@pytest.mark.parametrize("link", [False, True])
def test_what_is_added_is_there_once_under_its_hash(blobs, file, content, link):
    read = []
    for name in ("one", "other"):
        assert blobs.add(file(content, name), link=link, on_bytes=read.append) == sha256(content)
    assert sum(read) == 2 * len(content)
    assert list(blobs.all()) == [(sha256(content), len(content))]
    assert blobs.path(sha256(content)).read_bytes() == content
    assert blobs.has(sha256(content), len(content))
    assert not blobs.has(sha256(content), len(content) + 1)
    assert not blobs.has(sha256(b"other"), 5)
    assert blobs.parts() == []


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_change_of_the_file_changes_nothing_here(blobs, file, content):
    path = file(content)
    found = blobs.add(path)
    with path.open("r+b") as handle:
        handle.write(b"X")
    assert blobs.path(found).read_bytes() == content


def test_a_large_file_may_be_linked_where_that_is_asked_for(blobs, file):
    path = file(LARGE)
    assert blobs.path(blobs.add(path, link=True)).samefile(path)
    assert not blobs.path(blobs.add(file(SMALL, "small"), link=True)).samefile(file(SMALL, "small"))


def test_a_version_shares_large_files_which_nobody_may_write_and_has_small_ones_of_its_own(blobs, file, tmp_path):
    small, large = blobs.add(file(SMALL)), blobs.add(file(LARGE))
    blobs.put(large, tmp_path / "put-large", executable=False)
    blobs.put(small, tmp_path / "put-small", executable=False)
    blobs.put(small, tmp_path / "put-script", executable=True)
    assert (tmp_path / "put-large").samefile(blobs.path(large))
    assert (tmp_path / "put-large").stat().st_mode & 0o777 == 0o444
    (tmp_path / "put-small").write_bytes(b"changed")
    assert blobs.path(small).read_bytes() == SMALL
    assert (tmp_path / "put-script").stat().st_mode & 0o777 == 0o755


def test_removing_it_leaves_versions_whole(blobs, file, tmp_path):
    found = blobs.add(file(LARGE))
    blobs.put(found, tmp_path / "put", executable=False)
    blobs.remove(found)
    blobs.remove(found)
    assert list(blobs.all()) == []
    assert (tmp_path / "put").read_bytes() == LARGE


def test_what_cannot_be_read_or_written_is_told_apart(blobs, file, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        blobs.add(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="cannot be written"):
        Blobs(file(SMALL) / "below").add(file(SMALL, "other"))
