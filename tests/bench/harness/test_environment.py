"""What a result says of its machine, its software and its project."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pilotlight.bench.harness.environment import read_environment, read_revision, shown_variables, weight_hashes
from pilotlight.errors import ConfigError
from pilotlight.loading.files.manifest import write_manifest


def test_this_machine_and_this_python():
    found = read_environment(Path(sys.executable))
    assert found.python == sys.version.split()[0]
    assert found.packages["cog"] == version("cog")
    assert 1 <= found.cores <= os.cpu_count()
    assert found.memory_bytes > 2**28
    assert found.cpu_model
    assert found.kernel == os.uname().release


def test_a_python_that_does_not_run(tmp_path):
    with pytest.raises(ConfigError, match="does not run Python code"):
        read_environment(tmp_path / "python")


def test_the_commit_of_a_project(tmp_path):
    assert read_revision(tmp_path) is None

    def git(*args):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *args], check=True, capture_output=True, timeout=120)

    git("init")
    (tmp_path / "predict.py").write_text("")
    git("add", ".")
    git("commit", "-m", "one")
    commit = read_revision(tmp_path)
    assert len(commit) == 40
    (tmp_path / "predict.py").write_text("changed")
    assert read_revision(tmp_path) == f"{commit}-dirty"


def test_values_that_could_be_secret_are_not_recorded():
    given = {"HF_TOKEN": "hf_1", "API_KEY": "k", "db_password": "p", "PILOTLIGHT_MODEL": "m"}
    assert shown_variables(given) == {
        "HF_TOKEN": "(not recorded)",
        "API_KEY": "(not recorded)",
        "db_password": "(not recorded)",
        "PILOTLIGHT_MODEL": "m",
    }


def test_the_weights_of_the_folders_that_were_read(tmp_path):
    for name in ("used", "unused", "unfinished", "damaged"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(name)
    for name in ("used", "unused"):
        write_manifest(tmp_path / name, source="made up")
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    files = [tmp_path / name / "model.safetensors" for name in ("used", "unfinished", "damaged")]
    found = weight_hashes(files)
    assert list(found) == ["used"]
    assert len(found["used"]["model.safetensors"]) == 64
