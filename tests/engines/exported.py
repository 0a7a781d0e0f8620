"""The tiny models of ``tests.models`` as OpenVINO artifacts, through the real exporter.

    from tests.engines.exported import ARCHITECTURES, exported_model

    exported_model(arch: str, folder: Path) -> tuple[Path, Artifact]
        A model folder below ``folder`` and its fp32 artifact, which has no first stage.

    staged_model(arch: str, folder: Path) -> tuple[Path, Artifact]
        The same with one, compiled here.

The exporter's environment and what it makes of the tiny models are kept in the project's ``.cache``: the first test run
makes both (a minute or two, and the network), later ones find them.  Other pins, another converter or other models are
another folder there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cache
from pathlib import Path

import torch
import transformers

from pilotlight.engines.openvino.runtime import runtime
from pilotlight.engines.openvino.stateful import compile_stateful
from pilotlight.loading.export.build import openvino_files
from pilotlight.loading.export.environment import CACHE_VARIABLE
from pilotlight.loading.files.artifacts import Artifact, artifact_name
from pilotlight.loading.files.lock import folder_lock
from pilotlight.loading.progress import Silent
from scripts.train import make_bench_model
from tests import models
from tests.models import tiny_model
from tests.paths import ROOT

__all__ = ["ARCHITECTURES", "ENVIRON", "exported_model", "staged_model"]

CACHE = ROOT / ".cache" / "pilotlight"
ENVIRON = {**os.environ, CACHE_VARIABLE: os.environ.get(CACHE_VARIABLE) or str(CACHE)}
# Of the eight, the exporter does not take gemma3 with the transformers that it is pinned to.
ARCHITECTURES = tuple(arch for arch in models.ARCHITECTURES if arch != "gemma3")
LOADING = ROOT / "pilotlight" / "loading" / "export"


@cache
def _stamp() -> str:
    ours = [LOADING / "openvino.txt", LOADING / "convert_openvino.py"]
    sources = [*ours, make_bench_model.__file__, models.__file__]
    content = b"".join(Path(source).read_bytes() for source in sources)
    content += f"{torch.__version__} {transformers.__version__}".encode()
    return hashlib.sha256(content).hexdigest()[:12]


def exported_model(arch: str, folder: Path) -> tuple[Path, Artifact]:
    """See the top of this file."""
    model = tiny_model(arch, folder)
    artifact = Artifact(model / artifact_name("openvino", "fp32", "cpu"), "openvino", "fp32", "cpu")
    shutil.copytree(_made() / arch, artifact.folder)
    return model, artifact


def staged_model(arch: str, folder: Path) -> tuple[Path, Artifact]:
    """See the top of this file."""
    model, artifact = exported_model(arch, folder)
    compile_stateful(runtime(), artifact.folder, artifact.precision)
    return model, artifact


@cache
def _made() -> Path:
    """A folder with an artifact of each architecture, by its name."""
    kept = CACHE / f"test-models-{_stamp()}"
    with folder_lock(CACHE / "test-models", on_wait=lambda: None):
        if not kept.is_dir():
            draft = kept.with_name("test-models.new")
            shutil.rmtree(draft, ignore_errors=True)
            pairs = [(tiny_model(arch, draft / "models"), draft / arch) for arch in ARCHITECTURES]
            openvino_files(pairs, "fp32", ENVIRON, Silent())
            shutil.rmtree(draft / "models")
            draft.rename(kept)
    return kept
