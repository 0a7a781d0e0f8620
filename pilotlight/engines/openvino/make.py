"""Makes an artifact of the openvino engine at set-up: in seconds, with OpenVINO and numpy alone."""

from __future__ import annotations

import os
from pathlib import Path

from pilotlight.engines.openvino.runtime import runtime
from pilotlight.engines.openvino.stateful import StageUnfitError, compile_stateful
from pilotlight.loading.export.build import export
from pilotlight.loading.export.graph.build import graph_files, require_graph
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.progress import Silent, Watcher

__all__ = ["make_artifact"]


def make_artifact(model: Path, *, precision: str = "int8", watcher: Watcher | None = None) -> Artifact:
    """Build the artifact of ``model`` in ``precision``, compile its first stage for this machine, and list it.

    It is not compared with the model, which ``pilotlight export`` does and which takes longer; the manifest says so.

    Args:
        model: a model folder that the builder supports: ``require_graph`` tells.
        precision: one of ``artifacts.PRECISIONS``.
        watcher: told what happens.

    Raises:
        ConfigError: OpenVINO is not installed.
        UnsupportedModelError: the builder does not know this model.
        WeightsError: the model is incomplete or damaged.
    """
    told = watcher or Silent()
    require_graph(model)
    modules = runtime()

    def compile_first(artifact: Artifact) -> None:
        told.note("compiling its first stage")
        try:
            compile_stateful(modules, artifact.folder, artifact.precision)
        except StageUnfitError as error:
            told.note(f"it has no first stage here: {error}")

    made = export(
        model,
        engine="openvino",
        precision=precision,
        device="cpu",
        max_loss=0.0,
        check=compile_first,
        environ=os.environ,
        watcher=told,
        convert=graph_files,
    )
    return made.artifact
