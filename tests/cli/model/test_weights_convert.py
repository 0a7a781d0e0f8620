"""``pilotlight weights convert`` as a process of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.model.test_weights import weights
from tests.loading.gguf.files import tiny_gguf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_gguf(tmp_path / "tiny.Q8_0.gguf", kind="Q8_0")
    return tmp_path


def test_convert_list_verify(folder: Path) -> None:
    done = weights(folder, "convert", "tiny.Q8_0.gguf")
    assert done.stdout.startswith("weights/tiny.Q8_0: llama, 0.0M parameters as float16, ")
    assert "from tensors of 8 Q8_0, 3 F32 in " in done.stdout
    assert done.stderr == ""
    row = weights(folder, "list").stdout.splitlines()[1]
    assert row.split()[:2] == ["tiny.Q8_0", "complete"]
    assert "every byte as the manifest says" in weights(folder, "verify").stdout
    assert "is there already: give another folder" in weights(folder, "convert", "tiny.Q8_0.gguf", status=2).stderr


def test_for_machines(folder: Path) -> None:
    (folder / "models").mkdir()
    shutil.move(folder / "tiny.Q8_0.gguf", folder / "models/tiny.Q8_0.gguf")
    done = json.loads(weights(folder, "convert", "models", "--out", "out", "--dtype", "float32", "--json").stdout)
    assert (done["folder"], done["dtype"], done["types"]) == ("out", "float32", {"Q8_0": 8, "F32": 3})
    assert done["size_bytes"] == (folder / "out/model.safetensors").stat().st_size
    assert (done["source"], done["architecture"]) == ("models/tiny.Q8_0.gguf", "llama")


def test_errors_are_one_sentence(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "cut.gguf").write_bytes((folder / "tiny.Q8_0.gguf").read_bytes()[:5000])
    for name, status, message in (
        ("none.gguf", 2, "none.gguf is no file: give a GGUF file, or a folder with one"),
        ("empty", 2, "empty has no GGUF file"),
        ("cut.gguf", 1, "cut.gguf is damaged or was not copied to its end"),
    ):
        done = weights(folder, "convert", name, status=status)
        assert message in done.stderr
        assert done.stdout == ""
    assert not (folder / "weights").exists()


def test_help_has_examples(folder: Path) -> None:
    assert "pilotlight weights convert model.Q4_K_M.gguf" in weights(folder, "convert", "--help").stdout
