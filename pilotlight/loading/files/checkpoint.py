"""What the safetensors files of a model folder hold together: every tensor's name, dtype and shape, from headers alone.

Tensors keep the names that they have in the files. ``plain_names`` says what they are called without what a wrapper
around the model (``torch.compile``, DDP, FSDP) put before them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import UnsafeWeightsError, WeightsError
from pilotlight.loading.files.gguf_names import gguf_models
from pilotlight.loading.files.header import Header, TensorInfo, read_header
from pilotlight.loading.files.json_files import read_json
from pilotlight.loading.files.names import PART_SUFFIX, is_pickle
from pilotlight.loading.files.weight_files import ADAPTER_CONFIG, pick_weights
from pilotlight.loading.files.wording import some, tensors_of

__all__ = ["Checkpoint", "plain_names", "read_checkpoint", "weight_files"]

# What wrappers of a module put into the names of its tensors, as a part between two dots.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
# What a training script puts before all names when it saves the module that holds the model.
OUTER = ("module.", "base_model.model.")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a model folder.

    Attributes:
        files: that hold them, in the order of their names.
        tensors: by the names that they have in the files.
    """

    files: tuple[Path, ...]
    tensors: dict[str, TensorInfo]


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the headers of the model in ``folder``.

    Raises:
        UnsafeWeightsError: the weights are there only as pickles.
        WeightsError: a file is missing or damaged, or holds other tensors than the index says.
    """
    files, weight_map = _resolve(folder)
    headers = {path: _header(path) for path in files}
    tensors: dict[str, TensorInfo] = {}
    for path, header in headers.items():
        twice = sorted(tensors.keys() & header.tensors.keys())
        if twice:
            raise WeightsError(f"{path} holds {tensors_of(twice)} that another file holds too")
        tensors.update(header.tensors)
    for path, header in headers.items():
        lacking = sorted(name for name, file in weight_map.items() if file == path.name and name not in header.tensors)
        if lacking:
            raise WeightsError(f"{path} lacks {tensors_of(lacking)} that the index says it holds: fetch it again")
    return Checkpoint(files, tensors)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files that make up the model in ``folder``, in the order of their names.

    Raises:
        UnsafeWeightsError, WeightsError: as :func:`read_checkpoint`.
    """
    return _resolve(folder)[0]


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Return each name's plain form: without the parts that wrappers and training scripts put into it.

    ``_orig_mod.model.norm.weight`` becomes ``model.norm.weight``. Most checkpoints have plain names already.

    Raises:
        WeightsError: two tensors have the same plain name.
    """
    plain = {name: ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in names}
    while plain and (outer := _outer(plain.values())):
        plain = {name: short.removeprefix(outer) for name, short in plain.items()}
    if len(set(plain.values())) < len(plain):
        first: dict[str, str] = {}
        for name, short in plain.items():
            if short in first:
                raise WeightsError(f"the tensor {short} is there twice: as {first[short]} and as {name}")
            first[short] = name
    return plain


def _outer(names: Iterable[str]) -> str | None:
    """Return what stands before every name and belongs to none of transformers' models."""
    listed = list(names)
    for prefix in OUTER:
        if all(name.startswith(prefix) for name in listed):
            return prefix
    # A module that holds the model as ``model``: the model's own names begin with ``model.`` and ``lm_head.``.
    doubled = any(name.startswith(("model.model.", "model.lm_head.", "model.transformer.")) for name in listed)
    return "model." if doubled and all(name.startswith("model.") for name in listed) else None


def _header(path: Path) -> Header:
    try:
        return read_header(path, size_bytes=path.stat().st_size)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error


def _resolve(folder: Path) -> tuple[tuple[Path, ...], dict[str, str]]:
    """Return the files, and the index: the file of each tensor, by its name; empty without one."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    try:
        picked = pick_weights(names, where=str(folder))
    except WeightsError as error:
        raise _adapter(folder, error) if ADAPTER_CONFIG in names else error from error
    if picked.index is not None:
        weight_map = _weight_map(folder / picked.index)
        return _shards(folder, picked.index, sorted(set(weight_map.values()))), weight_map
    if not picked.names:
        raise _no_weights(folder, names)
    return tuple(folder / name for name in picked.names), {}


def _weight_map(path: Path) -> dict[str, str]:
    weight_map: Any = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise WeightsError(f"{path} has no weight_map")
    return {str(name): str(file) for name, file in weight_map.items()}


def _shards(folder: Path, index: str, names: list[str]) -> tuple[Path, ...]:
    for name in names:
        if "/" in name or "\\" in name or not name.endswith(".safetensors"):
            raise WeightsError(f"{folder / index} names {name!r}, which is not a safetensors file of this folder")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"{folder} lacks {len(missing)} of the {len(names)} shards that {index} names ({some(missing)}): "
            "fetch it again"
        )
    return tuple(folder / name for name in names)


def _no_weights(folder: Path, names: list[str]) -> UnsafeWeightsError | WeightsError:
    unfinished = [name for name in names if name.endswith(PART_SUFFIX)]
    if unfinished:
        return WeightsError(f"{folder} is not fetched to its end ({unfinished[0]}): give the same fetch command again")
    if ggufs := gguf_models(names):
        return WeightsError(
            f"{folder} has its weights as GGUF ({some(ggufs)}): make a model folder of them with: pilotlight weights "
            f"convert {folder / ggufs[0]}"
        )
    pickles = [name for name in names if is_pickle(name)]
    if pickles:
        return UnsafeWeightsError(
            f"{folder} has its weights only as pickles ({some(pickles)}): loading a pickle runs whatever code "
            "is in it, so pilotlight never does. Convert it to safetensors: load it with transformers on a machine "
            "you can lose and call save_pretrained(folder)"
        )
    return WeightsError(f"{folder} has no *.safetensors file")


def _adapter(folder: Path, error: WeightsError) -> WeightsError:
    """Return the error with the name of the model that the adapter is for, where its configuration says it."""
    try:
        config = read_json(folder / ADAPTER_CONFIG)
    except WeightsError:
        return error
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        return error
    kind = config.get("peft_type")
    return WeightsError(
        f"{folder} is an adapter{f' ({kind})' if isinstance(kind, str) else ''} without its model, {base}: merge it "
        f"into {base} with peft's merge_and_unload(), save the result with save_pretrained(folder), and serve that"
    )
