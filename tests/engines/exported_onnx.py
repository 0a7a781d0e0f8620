"""The tiny models of ``tests.models`` as ONNX artifacts, through the real exporter.

    from tests.engines.exported_onnx import ARCHITECTURES, onnx_model

    onnx_model(arch: str, folder: Path) -> tuple[Path, Artifact]
        A model folder below ``folder`` and its fp32 artifact.

Kept as those of ``tests.engines.exported`` are: the first test run makes them, later ones find them.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import torch
import transformers

from pilotlight.loading.export.build import onnx_files
from pilotlight.loading.files.artifacts import Artifact, artifact_name
from pilotlight.loading.files.lock import folder_lock
from pilotlight.loading.progress import Silent
from scripts.train import make_bench_model
from tests import models
from tests.engines.exported import CACHE, ENVIRON, LOADING
from tests.models import tiny_model

__all__ = ["ARCHITECTURES", "onnx_model"]

# Of the eight, those that the exporter takes: gemma3 it knows, but not as transformers now writes its configuration.
ARCHITECTURES = ("llama", "qwen3", "phi3")


@cache
def _stamp() -> str:
    ours = [LOADING / "onnx.txt", LOADING / "convert_onnx.py"]
    content = b"".join(Path(source).read_bytes() for source in [*ours, make_bench_model.__file__, models.__file__])
    content += f"{torch.__version__} {transformers.__version__}".encode()
    return hashlib.sha256(content).hexdigest()[:12]


def onnx_model(arch: str, folder: Path) -> tuple[Path, Artifact]:
    """See the top of this file."""
    model = tiny_model(arch, folder)
    artifact = Artifact(model / artifact_name("onnx", "fp32", "cpu"), "onnx", "fp32", "cpu")
    shutil.copytree(_made() / arch, artifact.folder)
    return model, artifact


@cache
def _made() -> Path:
    """A folder with an artifact of each architecture, by its name."""
    kept = CACHE / f"test-onnx-{_stamp()}"
    with folder_lock(CACHE / "test-onnx", on_wait=lambda: None):
        if not kept.is_dir():
            draft = kept.with_name("test-onnx.new")
            shutil.rmtree(draft, ignore_errors=True)
            pairs = [(tiny_model(arch, draft / "models"), draft / arch) for arch in ARCHITECTURES]
            onnx_files(pairs, "fp32", ENVIRON, Silent())
            shutil.rmtree(draft / "models")
            draft.rename(kept)
    return kept
