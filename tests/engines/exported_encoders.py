"""The tiny encoders of ``tests.encoders`` as OpenVINO artifacts, through the real exporter.

    from tests.engines.exported_encoders import exported_classifier, exported_embedder

    exported_classifier(arch: str, folder: Path) -> tuple[Path, Artifact]
    exported_embedder(arch: str, folder: Path) -> tuple[Path, Artifact]
        A model folder below ``folder`` and its fp32 artifact, which no manifest lists.
    exported_case(case: Case) -> tuple[Path, Artifact]
        A classifier of the sweep and its fp32 artifact, both under ``.cache``.
    exported_minilm(precision: str) -> tuple[Path, Artifact]
        all-MiniLM-L6-v2 and its artifact, both under ``.cache``.

What the exporter makes of them is kept in the project's ``.cache``, as ``exported.py`` does it.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import cache, partial
from pathlib import Path

import torch
import transformers

from pilotlight.loading.export.build import openvino_files
from pilotlight.loading.files.artifacts import Artifact, artifact_name
from pilotlight.loading.files.lock import folder_lock
from pilotlight.loading.progress import Silent
from scripts.train import train_classifier
from tests import encoders
from tests.encoders import ARCHITECTURES, tiny_classifier, tiny_embedder
from tests.engines.encoder_sweep import Case, make_model
from tests.engines.exported import CACHE, ENVIRON, LOADING
from tests.real_models import minilm

__all__ = ["exported_case", "exported_classifier", "exported_embedder", "exported_minilm"]

SCRIPT = "convert_encoder.py"


def exported_classifier(arch: str, folder: Path) -> tuple[Path, Artifact]:
    """See the top of this file."""
    return _with_artifact(tiny_classifier(folder, arch))


def exported_embedder(arch: str, folder: Path) -> tuple[Path, Artifact]:
    """See the top of this file."""
    return _with_artifact(tiny_embedder(folder, arch))


def exported_case(case: Case) -> tuple[Path, Artifact]:
    """See the top of this file."""
    kept = CACHE / f"test-encoder-{case.model_type}-{_stamp()}"
    with folder_lock(CACHE / "test-encoder-case", on_wait=lambda: None):
        if not kept.is_dir():
            draft = kept.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            make_model(case, draft)
            out = draft / artifact_name("openvino", "fp32", "cpu")
            openvino_files([(draft, out)], "fp32", ENVIRON, Silent(), script=SCRIPT)
            draft.rename(kept)
    return kept, Artifact(kept / artifact_name("openvino", "fp32", "cpu"), "openvino", "fp32", "cpu")


def exported_minilm(precision: str) -> tuple[Path, Artifact]:
    """See the top of this file."""
    model = minilm()
    kept = CACHE / f"test-minilm-{_stamp()}" / artifact_name("openvino", precision, "cpu")
    with folder_lock(CACHE / "test-minilm", on_wait=lambda: None):
        if not kept.is_dir():
            draft = kept.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            openvino_files([(model, draft)], precision, ENVIRON, Silent(), script=SCRIPT)
            draft.rename(kept)
    return model, Artifact(kept, "openvino", precision, "cpu")


def _with_artifact(model: Path) -> tuple[Path, Artifact]:
    artifact = Artifact(model / artifact_name("openvino", "fp32", "cpu"), "openvino", "fp32", "cpu")
    shutil.copytree(_made() / model.name, artifact.folder)
    return model, artifact


@cache
def _stamp() -> str:
    ours = [LOADING / name for name in ("openvino.txt", "convert_openvino.py", SCRIPT)]
    content = b"".join(Path(source).read_bytes() for source in [*ours, encoders.__file__, train_classifier.__file__])
    content += f"{torch.__version__} {transformers.__version__}".encode()
    return hashlib.sha256(content).hexdigest()[:12]


@cache
def _made() -> Path:
    """A folder with an artifact of each model, by its name."""
    kept = CACHE / f"test-encoders-{_stamp()}"
    with folder_lock(CACHE / "test-encoders", on_wait=lambda: None):
        if not kept.is_dir():
            draft = kept.with_name("test-encoders.new")
            shutil.rmtree(draft, ignore_errors=True)
            makers = (tiny_classifier, tiny_embedder)
            models = [make(draft / "models", arch) for make in makers for arch in ARCHITECTURES]
            convert = partial(openvino_files, script=SCRIPT)
            convert([(model, draft / model.name) for model in models], "fp32", ENVIRON, Silent())
            shutil.rmtree(draft / "models")
            draft.rename(kept)
    return kept
