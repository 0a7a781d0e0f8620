from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.errors import UsageError, WeightsError
from pilotlight.loading.files.manifest import write_manifest
from pilotlight.loading.files.verify import glance, model_folders, resolve_folder, verify_folder
from tests.loading.hub import model_files, sha256, wanted_files
from tests.loading.recorder import Recorder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "one"
    folder.mkdir()
    for name, content in {**wanted_files(model_files()), "merges.txt": b"", "a b ä.txt": b"x"}.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, source="hf://org/one", revision="c" * 40)
    return folder


def test_every_byte_is_as_the_manifest_says(folder: Path) -> None:
    recorder = Recorder()
    reports = verify_folder(folder, jobs=2, watcher=recorder)
    assert [(report.name, report.finding) for report in reports] == [
        ("README.md", "ok"),
        ("a b ä.txt", "ok"),
        ("config.json", "ok"),
        ("merges.txt", "ok"),
        ("model.safetensors", "ok"),
        ("tokenizer.json", "ok"),
    ]
    assert sum(recorder.done.values()) == sum(path.stat().st_size for path in folder.iterdir()) - manifest_bytes(folder)


def manifest_bytes(folder: Path) -> int:
    return (folder / "manifest.json").stat().st_size


def test_everything_that_can_differ(folder: Path) -> None:
    weights = folder / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    good = sha256(bytes(flipped))
    flipped[-1] ^= 1
    weights.write_bytes(flipped)
    (folder / "README.md").write_bytes(b"edited")
    (folder / "tokenizer.json").unlink()
    (folder / "more").mkdir()
    (folder / "more/extra.safetensors").write_bytes(b"")
    reports = {report.name: (report.finding, report.expected, report.actual) for report in verify_folder(folder)}
    assert reports == {
        "README.md": ("size differs", "10 bytes", "6 bytes"),
        "a b ä.txt": ("ok", "", ""),
        "config.json": ("ok", "", ""),
        "merges.txt": ("ok", "", ""),
        "model.safetensors": ("sha256 differs", f"sha256 {good}", f"sha256 {sha256(bytes(flipped))}"),
        "more/extra.safetensors": ("extra", "not in the manifest", ""),
        "tokenizer.json": ("missing", "2 bytes", ""),
    }


def test_without_a_manifest_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no manifest"):
        verify_folder(tmp_path)


def test_a_glance(folder: Path) -> None:
    seen = glance(folder)
    assert (seen.name, seen.state, seen.problem, seen.source) == ("one", "complete", "", "hf://org/one")
    assert (seen.files, seen.parameters, seen.engines) == (6, {"F32": 50_000}, ("torch",))
    assert seen.size_bytes == sum(path.stat().st_size for path in folder.iterdir()) - manifest_bytes(folder)


def test_glances_at_what_is_not_complete(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert (glance(folder).state, "tokenizer.json is missing" in glance(folder).problem) == ("damaged", True)
    (folder / "manifest.json").unlink()
    assert glance(folder).state == "no manifest"
    (folder / ".fetch.json").write_text('{"source": "hf://org/one"}')
    assert (glance(folder).state, glance(folder).source) == ("unfinished", "hf://org/one")
    (folder / "manifest.json").write_text("{")
    assert glance(folder).state != "complete"


def test_names_and_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    assert model_folders(tmp_path) == [folder]
    assert model_folders(tmp_path / "none") == []
    assert resolve_folder("one", tmp_path) == resolve_folder(str(folder), Path("weights")) == folder
    with pytest.raises(UsageError, match=r"'two' is neither a folder nor one of .*, which has one"):
        resolve_folder("two", tmp_path)
