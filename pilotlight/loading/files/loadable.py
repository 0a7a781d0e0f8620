"""Whether a model folder may be loaded: looked at with stat and header reads only, for it runs at every cold start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pilotlight.errors import UnsafeWeightsError, WeightsError
from pilotlight.loading.files.header import read_header
from pilotlight.loading.files.names import MANIFEST_NAME, PART_SUFFIX, is_document, is_pickle

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def check_loadable(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that make up the model in ``folder``, in the order of their names.

    Sizes are compared with the manifest where there is one; every safetensors header is read; no tensor is.

    Raises:
        UnsafeWeightsError: the weights are there only as pickles.
        WeightsError: something is missing, has another size than the manifest says, or is damaged.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} is not a folder: a model is a folder with config.json and *.safetensors")
    check_sizes(folder)
    weights = weight_files(folder)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder} has no config.json: a model is a folder with config.json and *.safetensors")
    try:
        for path in weights:
            read_header(path, size_bytes=path.stat().st_size)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be read: {error}") from error
    return weights


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors of ``folder`` that transformers would load: the whole file, else the index's shards, else all.

    Raises:
        UnsafeWeightsError, WeightsError: as :func:`check_loadable`.
    """
    if (folder / WHOLE).is_file():
        return (folder / WHOLE,)
    if (folder / INDEX).is_file():
        return _shards(folder)
    found = tuple(sorted(folder.glob("*.safetensors")))
    if found:
        return found
    names = sorted(path.name for path in folder.iterdir())
    unfinished = [name for name in names if name.endswith(PART_SUFFIX)]
    if unfinished:
        raise WeightsError(f"{folder} is not fetched to its end ({unfinished[0]}): give the same fetch command again")
    pickles = [name for name in names if is_pickle(name)]
    if pickles:
        raise UnsafeWeightsError(
            f"{folder} has its weights only as pickles ({', '.join(pickles[:3])}): loading a pickle runs whatever code "
            "is in it, so pilotlight never does. Convert it to safetensors: load it with transformers on a machine "
            "you can lose and call save_pretrained(folder)"
        )
    raise WeightsError(f"{folder} has no *.safetensors file")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        WeightsError: it is not one.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path} is not a JSON object")
    return value


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


def _shards(folder: Path) -> tuple[Path, ...]:
    index = read_json(folder / INDEX)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise WeightsError(f"{folder / INDEX} has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if "/" in name or "\\" in name or not name.endswith(".safetensors"):
            raise WeightsError(f"{folder / INDEX} names {name!r}, which is not a safetensors file of this folder")
        if not (folder / name).is_file():
            raise WeightsError(f"{folder / name} is missing: {INDEX} needs {len(names)} shards")
    return tuple(folder / name for name in names)
