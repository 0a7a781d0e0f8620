"""An export: into its place with its figures, or not at all.  The exporter itself is a fake here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import ConfigError, UsageError, WeightsError
from pilotlight.loading.export.build import Exported, LossError, export
from pilotlight.loading.export.environment import ExporterError
from pilotlight.loading.files.artifacts import Artifact, find_artifacts
from pilotlight.loading.files.manifest import ArtifactCheck, read_manifest
from pilotlight.loading.files.verify import verify_folder
from pilotlight.loading.progress import Silent, Watcher
from tests.loading.artifact_entries import CHECK
from tests.models import tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model("llama", tmp_path)


def write(
    folders: Sequence[tuple[Path, Path]], precision: str, environ: Mapping[str, str], watcher: Watcher
) -> dict[str, str]:
    """An exporter that needs no model."""
    for _, out in folders:
        out.mkdir()
        (out / "openvino_model.xml").write_text(precision)
        (out / "openvino_model.bin").write_bytes(bytes(1000))
    return {"exporter": "1.0"}


def run(model: Path, **changes: Any) -> Exported:
    options: dict[str, Any] = {
        "engine": "openvino",
        "precision": "int8",
        "device": "cpu",
        "max_loss": 0.03,
        "check": lambda artifact: CHECK,
        "environ": os.environ,
        "watcher": Silent(),
        "convert": write,
    }
    return export(model, **options | changes)


def content(model: Path) -> dict[str, bytes]:
    return {path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("*") if path.is_file()}


def test_it_is_listed_with_its_figures_and_verifies(model: Path) -> None:
    seen: list[Artifact] = []

    def check(artifact: Artifact) -> ArtifactCheck:
        seen.append(artifact)
        assert (artifact.folder / "openvino_model.xml").read_text() == "int8"
        return CHECK

    done = run(model, check=check)
    assert done.artifact == Artifact(model / "openvino-int8-cpu", "openvino", "int8", "cpu")
    assert seen[0].folder != done.artifact.folder, "checked before it is in its place"
    assert done.size_bytes == 1004
    manifest = read_manifest(model)
    assert manifest.engines == ("torch", "openvino")
    assert manifest.artifacts == (done.entry,)
    assert done.entry.check == CHECK
    assert done.entry.check.loss == pytest.approx(0.01)
    assert done.entry.made_with == {"exporter": "1.0"}
    assert set(done.entry.made_from) == {"model.safetensors"}
    assert find_artifacts(model) == (done.artifact,)
    assert {report.finding for report in verify_folder(model)} == {"ok"}
    assert not [path for path in model.iterdir() if path.name.startswith(".")]


def test_another_one_goes_beside_it_and_the_same_takes_its_place(model: Path) -> None:
    run(model)
    run(model, precision="bf16")
    (model / "openvino-int8-cpu/left-over").touch()
    run(model)
    assert [artifact.precision for artifact in find_artifacts(model)] == ["int8", "bf16"]
    assert len(read_manifest(model).artifacts) == 2
    assert {report.finding for report in verify_folder(model)} == {"ok"}


def fail(error: BaseException) -> Any:
    def raise_it(*args: object) -> Any:
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"convert": fail(ExporterError("no such architecture"))}, ExporterError),
        ({"check": fail(WeightsError("no tokenizer"))}, WeightsError),
        ({"check": fail(KeyboardInterrupt())}, KeyboardInterrupt),
        ({"max_loss": 0.005}, LossError),
        ({"check": lambda artifact: CHECK.model_copy(update={"artifact_bits_per_byte": float("nan")})}, LossError),
    ],
)
def test_whatever_goes_wrong_leaves_the_folder_as_it_was(
    model: Path, changes: dict[str, Any], error: type[BaseException]
) -> None:
    run(model, precision="bf16")
    before = content(model)
    with pytest.raises(error):
        run(model, **changes)
    assert content(model) == before


def test_a_loss_says_both_figures_and_what_to_do(model: Path) -> None:
    with pytest.raises(LossError, match=r"2\.0200 bits per byte on made up, the source 2\.0000: \+1\.00%, .* 0\.50%"):
        run(model, max_loss=0.005)


def test_what_a_killed_export_left_is_no_hindrance(model: Path) -> None:
    draft = model / ".openvino-int8-cpu.new"
    (draft / "scratch").mkdir(parents=True)
    run(model)
    assert not draft.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "vllm"}, "exports for vllm on cpu; there is openvino on cpu and onnx on cpu"),
        ({"device": "cuda"}, "exports for openvino on cuda; there is"),
        ({"engine": "onnx", "precision": "bf16"}, "exports bf16 for onnx on cpu; there is int8, int4, fp32"),
    ],
)
def test_what_nothing_exports_is_refused(model: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"nothing here {message}"):
        run(model, **changes)


def test_an_artifact_of_each_engine_may_be_there(model: Path) -> None:
    run(model)
    run(model, engine="onnx", precision="int4")
    assert [artifact.folder.name for artifact in find_artifacts(model)] == ["openvino-int8-cpu", "onnx-int4-cpu"]
    assert read_manifest(model).engines == ("torch", "openvino", "onnx")


def test_a_shared_cache_is_not_written_into(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path / "snapshots")
    with pytest.raises(UsageError, match="belongs to a shared cache"):
        run(model)
    with pytest.raises(WeightsError, match="is not a folder"):
        run(tmp_path / "nowhere")
