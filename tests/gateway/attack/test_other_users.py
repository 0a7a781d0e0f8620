"""Other users of the machine: they cannot read what a gateway stores, also where an older version let them."""

import os
import stat

import pytest

from pilotlight.errors import UsageError
from pilotlight.gateway import Scope, Tokens
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.storage import home
from tests.gateway.made import run, served


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder):
    """All that other users can open in a folder, with its permissions; links count as what they are."""
    paths = [folder, *folder.rglob("*")] if folder.stat().st_mode & 0o077 else [folder, *folder.iterdir()]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in paths}
    return {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077}


async def use(folder):
    """Have a gateway write everything that it stores; return what others could open meanwhile."""
    async with served(folder, token="t") as client:
        client.headers["Authorization"] = "Bearer t"
        await client.post("/predict", json={"input": {"prompt": "private words"}})
        form = {"files": {"content": ("a.txt", b"private")}}
        assert (await client.post("/v1/files", **form)).status_code == 201
        client.tokens.create("name", Scope.READ, 0.0)
        assert (await client.get("/v1/models")).status_code == 200
        names = {path.name for path in folder.iterdir()}
        assert {"gateway.sqlite3", "gateway.sqlite3-wal", "gateway.sqlite3-shm", "tokens.json", "files"} <= names
        return open_to_others(folder)


def test_a_new_home_is_closed(tmp_path):
    assert run(use(tmp_path / "home")) == {}


def test_a_home_that_was_open_is_closed_at_start(tmp_path):
    folder = tmp_path / "home"
    run(use(folder))
    Registry(folder).models()
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o755)
    assert open_to_others(folder) != {}
    assert run(use(folder)) == {}


def test_commands_without_a_gateway_close_it_too(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    Tokens(folder).create("name", Scope.READ, 0.0)
    assert open_to_others(folder) == {}
    folder.chmod(0o755)
    Registry(home.create(folder))
    assert open_to_others(folder) == {}


def test_a_home_that_all_users_share_is_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(UsageError, match="all users share"), home.lock(shared):
        raise AssertionError


def test_a_link_in_the_home_is_not_followed(tmp_path):
    folder, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    elsewhere.mkdir(mode=0o755)
    (folder / "blobs").symlink_to(elsewhere)
    with home.lock(folder):
        pass
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755
