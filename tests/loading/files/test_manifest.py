from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotlight.errors import WeightsError
from pilotlight.loading.files.manifest import ArtifactCheck, parse_manifest, read_manifest, write_manifest
from tests.loading.hub import sha256
from tests.paths import ROOT

FILE = {"name": "config.json", "size_bytes": 2, "sha256": sha256(b"{}")}
GOOD = {
    "format_version": 1,
    "source": "here",
    "created_at": "2026-11-23T00:00:00Z",
    "engines": ["torch"],
    "files": [FILE],
}


def test_describes_every_file_of_the_folder(tmp_path: Path) -> None:
    contents = {"config.json": b"{}", "empty.txt": b"", "a b/gewichte ä.safetensors": b"x" * 3_000_000}
    ignored = {".hidden": b"", ".cache/x": b"", "y.part": b"", "y.part.json": b"", "manifest.json": b"old"}
    for name, content in {**contents, **ignored}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    manifest = write_manifest(tmp_path, source="trained here", engines=["torch", "onnx"])

    assert read_manifest(tmp_path) == manifest
    assert {file.name: (file.size_bytes, file.sha256) for file in manifest.files} == {
        name: (len(content), sha256(content)) for name, content in contents.items()
    }
    assert manifest.size_bytes == 3_000_002
    assert (manifest.source, manifest.revision, manifest.engines) == ("trained here", None, ("torch", "onnx"))
    assert manifest.created_at.tzinfo is not None
    raw = json.loads((tmp_path / "manifest.json").read_text())
    assert list(raw) == ["format_version", "source", "revision", "created_at", "engines", "files"]
    assert [path.name for path in tmp_path.glob(".manifest*")] == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"extra": 1}, "extra"),
        ({"format_version": 2}, "format_version"),
        ({"source": ""}, "source"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"engines": ["Torch!"]}, "engines.0"),
        ({"files": [{**FILE, "mode": 1}]}, "files.0.mode"),
        ({"files": [{**FILE, "size_bytes": -1}]}, "files.0.size_bytes"),
        ({"files": [{**FILE, "sha256": "AB"}]}, "files.0.sha256"),
        ({"files": [{**FILE, "name": "../x"}]}, "files.0.name"),
        ({"files": [FILE, FILE]}, "files"),
    ],
)
def test_refuses_what_it_does_not_know(change: dict[str, object], where: str) -> None:
    assert parse_manifest(json.dumps(GOOD).encode(), where="m").files[0].name == "config.json"
    with pytest.raises(WeightsError, match=f"^m is not a manifest that this version reads: {where}"):
        parse_manifest(json.dumps({**GOOD, **change}).encode(), where="m")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe"])
def test_refuses_what_is_not_json(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(raw)
    with pytest.raises(WeightsError, match="is not a manifest"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a finished one"):
        read_manifest(tmp_path)


def test_a_check_of_an_earlier_version_has_no_kinds_of_text() -> None:
    (artifact,) = read_manifest(ROOT / "weights/pylight-5m").artifacts
    assert isinstance(artifact.check, ArtifactCheck)
    assert (artifact.check.judged_by, artifact.check.kinds) == (None, None)
    assert ArtifactCheck.model_validate_json(artifact.check.model_dump_json(exclude={"judged_by", "kinds"}))
