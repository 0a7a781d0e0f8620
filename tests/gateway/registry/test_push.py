"""From a project to a version, with the real import of its predictor."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from pilotlight.errors import ConfigError, SetupFailedError, UsageError
from pilotlight.gateway.registry.digest import LARGE_BYTES, list_entries, version_id
from pilotlight.gateway.registry.gc import remove_unused
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.push import IncompatibleError, push
from pilotlight.gateway.registry.registry import Registry
from pilotlight.gateway.registry.versions import load_pushed
from pilotlight.loading.files.manifest import write_manifest
from pilotlight.loading.progress import Silent

MODEL = "acme/hello"
CONFIG = 'build:\n  python_version: "3.11"\npredict: "predict.py:Predictor"\n'
PREDICTOR = """\
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, n: int = Input(default=1, le=9)) -> int:
        return n
"""
LARGE = bytes(LARGE_BYTES + 1)


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "home").mkdir()
    return Registry(tmp_path / "home")


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "weights").mkdir(parents=True)
    (root / "cog.yaml").write_text(CONFIG)
    (root / "predict.py").write_text(PREDICTOR)
    (root / "weights" / "big.bin").write_bytes(LARGE)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


class Watching(Silent):
    """Remembers what it was told."""

    def __init__(self):
        self.sizes = {}
        self.done = {}

    def planned(self, sizes):
        self.sizes = dict(sizes)

    def advanced(self, name, done_bytes, total_bytes):
        assert total_bytes == self.sizes[name]
        self.done[name] = done_bytes


def pushed(project, registry, **options):
    return push(project, MODEL, registry, **{"now": 100.0, "watcher": Silent(), **options})


def edit(project, before, after):
    predictor = project / "predict.py"
    predictor.write_text(predictor.read_text().replace(before, after))


def test_a_version_is_all_of_the_project_and_nothing_else(project, registry):
    for name in (".env", "__pycache__/x.pyc", "left/out.txt"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).touch()
    (project / ".dockerignore").write_text("left\n")
    watcher = Watching()
    done = pushed(project, registry, watcher=watcher)
    folder = registry.folder(done.version)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = {"cog.yaml", "predict.py", "run.sh", "weights/big.bin"}
    assert {name for name in there if not name.startswith((".cog/", "__pycache__"))} == expected
    assert (folder / "weights" / "big.bin").read_bytes() == LARGE
    assert os.access(folder / "run.sh", os.X_OK)
    assert (done.before, done.new, done.incompatibilities, done.files) == (None, True, (), 4)
    assert watcher.done == watcher.sizes
    assert sum(watcher.sizes.values()) == done.size_bytes
    (row,) = registry.versions(MODEL)
    version = load_pushed(registry, row)
    assert (version.id, version.model, version.created_at, version.pushed) == (done.version, MODEL, 100.0, True)
    assert version.validator.check({"n": 3}) == {"n": 3}


def test_the_id_is_that_of_the_folder_and_the_same_content_is_the_same_version(project, registry):
    write_manifest(project / "weights", source="made here")
    first = pushed(project, registry)
    assert first.version == version_id(list_entries(project))
    os.utime(project / "predict.py", (1, 1))
    moved = project.rename(project.with_name("moved"))
    again = pushed(moved, registry, now=200.0)
    assert (again.version, again.new, again.before) == (first.version, False, first.version)
    assert len(registry.history(MODEL)) == 1
    edit(moved, "return n", "return n + 1")
    other = pushed(moved, registry)
    assert other.version != first.version
    # The weights are one file for all.
    weights = [registry.folder(one.version) / "weights" / "big.bin" for one in (first, other)]
    assert weights[0].samefile(weights[1])


def test_a_large_file_without_a_manifest_counts_by_content_too(project, registry):
    first = pushed(project, registry)
    os.utime(project / "weights" / "big.bin", (1, 1))
    assert pushed(project, registry).version == first.version


def test_a_known_large_file_is_not_read_again(project, registry):
    write_manifest(project / "weights", source="made here")
    first = pushed(project, registry)
    # As its manifest says, but for its content: as long as the size is right, nobody looks.
    (project / "weights" / "big.bin").write_bytes(LARGE[:-1] + b"X")
    assert pushed(project, registry).version == first.version


def test_weights_that_are_not_what_their_manifest_says_are_refused(project, registry):
    write_manifest(project / "weights", source="made here")
    (project / "weights" / "big.bin").write_bytes(LARGE[:-1] + b"X")
    with pytest.raises(UsageError, match=r"big\.bin is not what the manifest\.json beside it says.*weights verify"):
        pushed(project, registry)
    assert registry.models() == []


def test_a_breaking_version_is_refused_unless_it_is_allowed(project, registry):
    first = pushed(project, registry)
    edit(project, "le=9", "le=5")
    with pytest.raises(IncompatibleError, match="input n: its maximum went from 9 to 5") as caught:
        pushed(project, registry)
    assert [one.where for one in caught.value.incompatibilities] == ["input n"]
    assert registry.model(MODEL).current == first.version
    second = pushed(project, registry, allow_breaking=True)
    assert (second.before, second.incompatibilities) == (first.version, caught.value.incompatibilities)
    # Against the version that is current, not the newest.
    registry.roll_back(MODEL, None, now=300.0)
    with pytest.raises(IncompatibleError):
        pushed(project, registry)


def test_what_cannot_be_imported_is_refused_with_its_reason(project, registry):
    edit(project, "from cog", "import no_such_module\nfrom cog")
    with pytest.raises(SetupFailedError, match="No module named 'no_such_module'"):
        pushed(project, registry)
    assert registry.models() == []


def test_what_cog_build_would_refuse_is_refused_before_anything_is_stored(project, registry):
    edit(project, "Input(default=1, le=9)", "Input(default=1, choices=(1, 2))")
    with pytest.raises(
        UsageError, match=r"cog build refuses this predictor: predict\.py:5: parameter n: the choices \(1, 2\)"
    ):
        pushed(project, registry)
    assert registry.models() == []
    assert not registry.folders.exists()


def test_a_predictor_that_is_left_out_is_told(project, registry):
    (project / ".dockerignore").write_text("*.py\n")
    with pytest.raises(ConfigError, match=r"predict\.py would be no part of the version"):
        pushed(project, registry)


def test_the_name_may_be_cog_yamls(project, registry):
    with pytest.raises(UsageError, match=r"or set it in cog\.yaml"):
        push(project, None, registry, now=1.0, watcher=Silent())
    (project / "cog.yaml").write_text(CONFIG + "image: r8.im/acme/own\n")
    assert push(project, None, registry, now=1.0, watcher=Silent()).model == "acme/own"


def test_a_rolled_back_version_pushed_again_is_current_again(project, registry):
    first = pushed(project, registry)
    edit(project, "return n", "return n + 1")
    second = pushed(project, registry)
    registry.roll_back(MODEL, None, now=300.0)
    again = pushed(project, registry)
    assert (again.version, again.new, again.before) == (second.version, False, first.version)
    assert registry.model(MODEL).current == second.version


KILLED = """\
import os, signal, sys
from pathlib import Path
from pilotlight.gateway.registry.push import push
from pilotlight.gateway.registry.registry import Registry
from pilotlight.loading.progress import Silent

class Killer(Silent):
    def advanced(self, name, done_bytes, total_bytes):
        if name == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

push(Path(sys.argv[1]), "acme/hello", Registry(Path(sys.argv[2])), now=1.0, watcher=Killer())
"""
IMPORT_KILLS = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"


@pytest.mark.parametrize("when", ["small files", "weights/big.bin", "import"])
def test_killed_at_any_moment_it_leaves_the_model_as_it_was(project, registry, when):
    first = pushed(project, registry)
    (project / "weights" / "big.bin").write_bytes(LARGE + b"X")
    if when == "import":
        edit(project, "from cog", IMPORT_KILLS + "from cog")
    done = subprocess.run([sys.executable, "-c", KILLED, project, registry.root, when], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [one.id for one in registry.versions(MODEL)] == [first.version]
    assert registry.model(MODEL).current == first.version
    edit(project, IMPORT_KILLS, "")
    second = pushed(project, registry)
    assert version_id(list_entries(registry.folder(second.version))) != first.version
    assert (registry.folder(second.version) / "weights" / "big.bin").read_bytes() == LARGE + b"X"
    # Whatever the killed one has left goes, and nothing else does.
    remove_unused(registry)
    assert {folder.name for folder in registry.folders.iterdir()} == {first.version, second.version}
    assert registry.blobs.parts() == []
    assert len(list(registry.blobs.all())) == 5
    assert remove_unused(registry).size_bytes == 0


def test_a_damaged_or_deleted_version_says_so(project, registry):
    pushed(project, registry)
    (row,) = registry.versions(MODEL)
    shutil.rmtree(registry.folder(row.id))
    with pytest.raises(ConfigError, match="is not a folder"):
        load_pushed(registry, row)
    registry.delete_version(MODEL, row.id)
    with pytest.raises(MissingError, match="has no version"):
        load_pushed(registry, row)
