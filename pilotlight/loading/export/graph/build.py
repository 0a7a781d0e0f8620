"""Makes an artifact of the openvino engine with the builder: seconds, without torch and without the exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from pilotlight.loading.export.graph.shape import DecoderShape, read_shape
from pilotlight.loading.files.loadable import read_json
from pilotlight.loading.progress import Watcher

__all__ = ["graph_files", "require_graph"]

MODEL_NAME = "openvino_model.xml"


def require_graph(model: Path) -> DecoderShape:
    """Return the shape of the model in this folder, from its configuration alone.

    Raises:
        UnsupportedModelError: the builder does not know this model; the message names what it does not know.
        WeightsError: there is no configuration.
    """
    return read_shape(read_json(model / "config.json"))


def graph_files(
    folders: Sequence[tuple[Path, Path]], precision: str, environ: Mapping[str, str], watcher: Watcher
) -> dict[str, str]:
    """Write models in ``precision`` as OpenVINO IR; arguments as of ``openvino_files``, whose place this takes.

    Raises:
        UnsupportedModelError: the builder does not know one of the models.
        WeightsError: the tensors of one are incomplete.
    """
    # Imported here: an export by the exporter needs none of it, and neither does the command's help.
    import openvino

    from pilotlight.loading.export.graph.calibration import measure_importance
    from pilotlight.loading.export.graph.decoder import build_decoder
    from pilotlight.loading.export.graph.tensors import open_tensors

    for model, out in folders:
        watcher.note(f"building {model.resolve().name} in {precision}")
        shape = require_graph(model)
        importance = cache(partial(measure_importance, model, shape))
        built = build_decoder(shape, open_tensors(model), precision, importance)
        out.mkdir(parents=True)
        openvino.save_model(built, out / MODEL_NAME, compress_to_fp16=False)
    return {"openvino": openvino.__version__}
