"""Whether a model folder may be loaded: looked at with stat and header reads only, for it runs at every cold start."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import WeightsError
from pilotlight.loading.files.checkpoint import read_checkpoint
from pilotlight.loading.files.checks.architecture import model_config, require_model_type
from pilotlight.loading.files.checks.consistency import require_consistent
from pilotlight.loading.files.checks.quantization import quantization_of
from pilotlight.loading.files.json_files import read_json
from pilotlight.loading.files.names import MANIFEST_NAME, is_document

__all__ = ["check_loadable", "check_sizes", "read_json"]


def check_loadable(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files that make up the model in ``folder``, in the order of their names.

    Sizes are compared with the manifest where there is one; every safetensors header is read and compared with the
    index and with ``config.json``; no tensor is read.

    Raises:
        UnsafeWeightsError: the weights are there only as pickles.
        WeightsError: something is missing, has another size than the manifest says, is damaged, or is not a model.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} is not a folder: a model is a folder with config.json and *.safetensors")
    check_sizes(folder)
    try:
        checkpoint = read_checkpoint(folder)
        config = model_config(folder)
        require_model_type(folder, config)
        quantized = quantization_of(folder, config) is not None
    except OSError as error:
        raise WeightsError(f"{folder} cannot be read: {error}") from error
    require_consistent(folder, config, checkpoint, quantized=quantized)
    return checkpoint.files


def check_sizes(folder: Path) -> None:
    """Compare what ``folder`` holds with its manifest by size; a folder without one passes.

    Documents (README.md, LICENSE, pictures) may differ or be missing: no engine reads them.

    Raises:
        WeightsError: naming the file, the size expected and the size found.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return
    manifest = read_json(folder / MANIFEST_NAME)
    try:
        expected = {str(entry["name"]): int(entry["size_bytes"]) for entry in manifest["files"]}
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{folder / MANIFEST_NAME} is not a manifest: its list of files is damaged") from error
    for name, size_bytes in expected.items():
        if is_document(name):
            continue
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{path} is missing: the manifest lists it with {size_bytes} bytes")
        actual = path.stat().st_size
        if actual != size_bytes:
            raise WeightsError(f"{path} has {actual} bytes and the manifest expects {size_bytes}: fetch it again")
