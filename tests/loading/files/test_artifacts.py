"""Artifacts are found through the manifest only, and only while they are of the weights that it lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotlight.errors import WeightsError
from pilotlight.loading.files.artifacts import Artifact, artifact_name, find_artifacts
from pilotlight.loading.files.manifest import read_manifest, write_manifest
from tests.loading.artifact_entries import list_artifact


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with weights and two artifacts, listed."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    for precision in ("bf16", "int8"):
        folder = tmp_path / artifact_name("openvino", precision, "cpu")
        folder.mkdir()
        (folder / "openvino_model.xml").write_text(precision)
    write_manifest(tmp_path, source="made up")
    for precision in ("bf16", "int8"):
        folder = tmp_path / artifact_name("openvino", precision, "cpu")
        list_artifact(tmp_path, Artifact(folder, "openvino", precision, "cpu"))
    return tmp_path


def precisions(model: Path) -> list[str]:
    return [artifact.precision for artifact in find_artifacts(model)]


def test_they_come_in_the_order_of_preference(model: Path) -> None:
    assert find_artifacts(model) == (
        Artifact(model / "openvino-int8-cpu", "openvino", "int8", "cpu"),
        Artifact(model / "openvino-bf16-cpu", "openvino", "bf16", "cpu"),
    )
    assert read_manifest(model).engines == ("torch", "openvino")


def test_a_folder_without_manifest_or_an_artifact_that_is_not_listed_counts_for_nothing(
    model: Path, tmp_path: Path
) -> None:
    (model / "openvino-fp32-cpu").mkdir()
    assert precisions(model) == ["int8", "bf16"]
    (model / "manifest.json").unlink()
    assert precisions(model) == []


def test_one_whose_folder_is_gone_is_left_out(model: Path) -> None:
    (model / "openvino-int8-cpu/openvino_model.xml").unlink()
    (model / "openvino-int8-cpu").rmdir()
    assert precisions(model) == ["bf16"]


def test_one_of_other_weights_is_left_out_and_forgotten_by_the_next_manifest(model: Path) -> None:
    assert len(write_manifest(model, source="the same").artifacts) == 2
    (model / "model.safetensors").write_bytes(b"trained anew")
    manifest = write_manifest(model, source="made up")
    assert manifest.artifacts == ()
    assert manifest.engines == ("torch",)
    assert precisions(model) == []


def test_a_damaged_list_is_an_error(model: Path) -> None:
    path = model / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"artifacts": [{"name": "openvino-int8-cpu"}]}))
    with pytest.raises(WeightsError, match="its list of artifacts is damaged"):
        find_artifacts(model)
