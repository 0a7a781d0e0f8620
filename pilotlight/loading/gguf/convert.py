"""A GGUF file made into a plain model folder, without torch and without transformers."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pilotlight.errors import UsageError, WeightsError
from pilotlight.loading.files.manifest import ManifestFile, save_manifest, sha256_of
from pilotlight.loading.gguf.architectures import Architecture, find_architecture
from pilotlight.loading.gguf.config import (
    check_settings,
    generation_config,
    model_config,
    model_sizes,
    token_config,
)
from pilotlight.loading.gguf.header import TensorEntry
from pilotlight.loading.gguf.metadata import Metadata
from pilotlight.loading.gguf.split import read_parts
from pilotlight.loading.gguf.tensors import Plan, plan_tensors
from pilotlight.loading.gguf.tokenizer import tokenizer_config, tokenizer_json
from pilotlight.loading.gguf.values import DTYPES, check_type, read_tensor
from pilotlight.loading.gguf.vocabulary import Vocabulary
from pilotlight.loading.gguf.write import WIDTHS, write_safetensors
from pilotlight.loading.progress import Silent, Watcher

AUTO = "auto"
ENGINES = ("torch",)  # what the folder serves as it is
WEIGHTS = "model.safetensors"
WIDE = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}  # precisions that a file may hold and that are kept


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion.

    Attributes:
        architecture: as GGUF calls it.
        types: how many tensors the file had of each type.
        dtype: the precision of the folder's weights.
    """

    folder: Path
    architecture: str
    parameters: int
    types: dict[str, int]
    dtype: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """What a file holds, checked as far as its header allows."""

    metadata: Metadata
    architecture: Architecture
    vocabulary: Vocabulary
    sizes: dict[str, int]
    plan: Plan
    config: dict[str, Any]

    @property
    def parameters(self) -> int:
        return sum(math.prod(move.entry.shape) for move in self.plan.moves)


def read_model(file: Path) -> Model:
    """Return what ``file`` holds; reads no tensor but those of rotary factors.

    Raises:
        WeightsError: it is damaged, or of a kind that is not supported; the message says which.
    """
    header = read_parts(file)
    metadata = Metadata(header.metadata, str(file))
    architecture = find_architecture(metadata.architecture, metadata.where)
    for entry in header.tensors:
        check_type(entry)
    embedding = next((entry for entry in header.tensors if entry.name == "token_embd.weight"), None)
    if embedding is None:
        raise WeightsError(f"{file} has no embedding (tensor token_embd.weight): it does not hold a whole model")
    check_settings(metadata)
    vocabulary = Vocabulary(metadata)
    sizes = model_sizes(metadata, embedding.shape[0])
    if len(vocabulary.tokens) > sizes["vocabulary"]:
        raise WeightsError(f"{file} has {len(vocabulary.tokens)} tokens and an embedding of {sizes['vocabulary']} rows")
    plan = plan_tensors(architecture, header.tensors, layers=sizes["layers"], sizes=sizes, where=metadata.where)
    read = {entry.name: partial(_numbers, entry) for entry in header.tensors if entry.name in architecture.rope}
    config = {**model_config(metadata, architecture, sizes, read), **plan.flags, **token_config(vocabulary)}
    return Model(metadata, architecture, vocabulary, sizes, plan, config)


def _numbers(entry: TensorEntry) -> list[float]:
    numbers: list[float] = read_tensor(entry, dtype="float32").tolist()
    return numbers


def convert_gguf(file: Path, target: Path, *, dtype: str = AUTO, watcher: Watcher | None = None) -> Converted:
    """Write the model of the GGUF ``file`` as the model folder ``target``, which must not exist.

    The folder appears in one step when it is complete; a failure or an interrupt leaves nothing. ``dtype`` is
    ``float32``, ``float16`` or ``bfloat16``; ``auto`` is the file's own where it is not quantised, else ``float16``.

    Raises:
        UsageError: the precision does not exist, or ``target`` is there already.
        WeightsError: the file is damaged, or of a kind that is not supported.
    """
    if dtype not in (AUTO, *DTYPES):
        raise UsageError(f"dtype is {dtype!r}: expected {AUTO} or one of {', '.join(DTYPES)}")
    if target.exists():
        raise UsageError(f"{target} is there already: give another folder, or remove it")
    model = read_model(file)
    dtype = _own_dtype(model.plan) if dtype == AUTO else dtype
    documents = _documents(model, dtype)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        draft.mkdir(parents=True)
        _require_space(model, draft, dtype)
        for name, content in documents.items():
            (draft / name).write_text(content, "utf-8")
        digest = _write_weights(model, draft / WEIGHTS, dtype, watcher or Silent())
        _write_manifest(draft, model, digest)
        draft.rename(target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return _summary(model, target, dtype)


def _own_dtype(plan: Plan) -> str:
    """Return the precision that keeps what the file holds: that of its matrices where they are not quantised."""
    types = {move.entry.type for move in plan.moves if len(move.entry.shape) > 1}
    return WIDE[types.pop()] if len(types) == 1 and types <= WIDE.keys() else "float16"


def _require_space(model: Model, folder: Path, dtype: str) -> None:
    wanted = model.parameters * WIDTHS[DTYPES[dtype]]
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise WeightsError(
            f"{model.metadata.where} becomes {wanted} bytes as {dtype} and the disk of {folder.parent} has {free} "
            "left: make room, or give a folder on another disk"
        )


def _write_manifest(folder: Path, model: Model, digest: str) -> None:
    """Write the manifest, which names the file and its sha256 as the source."""
    files = [
        ManifestFile(
            name=path.name,
            size_bytes=path.stat().st_size,
            sha256=digest if path.name == WEIGHTS else sha256_of(path),
        )
        for path in folder.iterdir()
    ]
    parts = sorted({move.entry.file for move in model.plan.moves})
    source = ", ".join(f"{path.name} (GGUF, sha256 {sha256_of(path)})" for path in parts)
    save_manifest(folder, files, source=source, revision=None, engines=ENGINES)


def _documents(model: Model, dtype: str) -> dict[str, str]:
    """Return every file but the weights, by name."""
    vocabulary = model.vocabulary
    documents = {
        "config.json": _json({**model.config, "dtype": dtype}),
        "generation_config.json": _json(generation_config(vocabulary)),
        "tokenizer.json": json.dumps(tokenizer_json(vocabulary), ensure_ascii=False),
        "tokenizer_config.json": _json(tokenizer_config(vocabulary)),
    }
    if vocabulary.chat_template:
        documents["chat_template.jinja"] = vocabulary.chat_template
    return documents


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write_weights(model: Model, path: Path, dtype: str, watcher: Watcher) -> str:
    watcher.planned({path.name: sum(move.entry.size_bytes for move in model.plan.moves)})
    shapes = {move.name: move.shape for move in model.plan.moves}
    return write_safetensors(path, shapes, DTYPES[dtype], _tensors(model, path.name, dtype, watcher))


def _tensors(model: Model, name: str, dtype: str, watcher: Watcher) -> Iterator[NDArray[Any]]:
    heads = {"interleaved_q": model.sizes["heads"], "interleaved_k": model.sizes["key_heads"]}
    total = sum(move.entry.size_bytes for move in model.plan.moves)
    done = 0
    for move in model.plan.moves:
        yield read_tensor(move.entry, dtype=dtype, change=move.change, heads=heads.get(move.change, 0))
        done += move.entry.size_bytes
        watcher.advanced(name, done, total)


def _summary(model: Model, folder: Path, dtype: str) -> Converted:
    types: dict[str, int] = {}
    for move in model.plan.moves:
        types[move.entry.type] = types.get(move.entry.type, 0) + 1
    return Converted(
        folder=folder,
        architecture=model.metadata.architecture,
        parameters=model.parameters,
        types=types,
        dtype=dtype,
        size_bytes=(folder / WEIGHTS).stat().st_size,
    )
