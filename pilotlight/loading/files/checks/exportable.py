"""Whether an exporter would read a model as the torch engine does: exporters take transformers' own names only."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import WeightsError
from pilotlight.loading.files.checkpoint import plain_names, read_checkpoint
from pilotlight.loading.files.checks.architecture import model_config
from pilotlight.loading.files.checks.quantization import quantization_of
from pilotlight.loading.files.weight_files import INDEX, WHOLE
from pilotlight.loading.files.wording import some, tensors_of

__all__ = ["require_exportable"]


def require_exportable(folder: Path) -> None:
    """Refuse a model that the torch engine serves and an exporter would read wrongly, or not at all.

    Raises:
        WeightsError: its weights are quantised, or have names that an exporter does not know.
    """
    method = quantization_of(folder, model_config(folder))
    if method is not None:
        raise WeightsError(
            f"{folder} is quantised with {method.label} already: export the checkpoint that was quantised"
        )
    checkpoint = read_checkpoint(folder)
    if not (folder / WHOLE).is_file() and not (folder / INDEX).is_file():
        files = some(path.name for path in checkpoint.files)
        raise WeightsError(f"{folder} has its weights in {files}, and an exporter reads {WHOLE}: rename or join them")
    prefixed = [name for name, plain in plain_names(checkpoint.tensors).items() if name != plain]
    if prefixed:
        raise WeightsError(
            f"{folder} has {tensors_of(prefixed)} with the prefix of a wrapper, which an exporter does not take off: "
            "load it with the torch engine, or save it again without"
        )
