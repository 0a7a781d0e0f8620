"""Which files of a model are wanted, which are refused, and which names are safe: pure functions over names.

A name is a file's path relative to its model folder, with forward slashes, as the Hub and our manifest write it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from pilotlight.errors import FetchError, UnsafeWeightsError, WeightsError
from pilotlight.loading.files.gguf_names import gguf_models, is_gguf, parts_of
from pilotlight.loading.files.weight_files import pick_weights
from pilotlight.loading.files.wording import some

MANIFEST_NAME = "manifest.json"
PART_SUFFIX = ".part"
STATE_SUFFIX = ".part.json"

WEIGHTS = "*.safetensors"
SMALL_FILES = (
    "*.safetensors.index*.json",
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "chat_template.*",
    "added_tokens.json",
    "preprocessor_config.json",
    "quant*_config.json",
    "hf_quant_config.json",
    "README.md",
    "LICENSE*",
)
SENTENCE_TRANSFORMERS = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack", "*.joblib")
# What people read and no engine does: may be edited, or left out of an image, without making the model unloadable.
DOCUMENTS = ("*.md", "LICENSE*", "NOTICE*", "*.png", "*.svg", "*.jpg", "*.pdf")


def is_document(name: str) -> bool:
    """Return whether ``name`` is documentation, which no engine reads."""
    return _matches(PurePosixPath(name).name, DOCUMENTS)


def is_pickle(name: str) -> bool:
    """Return whether ``name`` looks like weights that only code from the model itself can open."""
    return _matches(PurePosixPath(name).name, PICKLES)


def safe_name(name: str) -> str:
    """``name``, if a file of that name stays inside its folder and cannot be taken for one of our own.

    Raises:
        FetchError: it is absolute, climbs out, is hidden, has control characters or a backslash, or is ours.
    """
    parts = name.split("/")
    bad = (
        any(part in ("", ".", "..") or part.startswith(".") for part in parts)
        or any(char == "\\" or not char.isprintable() for char in name)
        or name == MANIFEST_NAME
        or name.endswith((PART_SUFFIX, STATE_SUFFIX))
        or any(len(part.encode()) > 200 for part in parts)
    )
    if bad:
        raise FetchError(f"the source lists a file named {name!r}, which is not a safe file name: nothing was fetched")
    return name


def choose_files(names: Iterable[str], *, source: str, only: str | None = None) -> list[str]:
    """The files of ``names`` worth fetching, sorted: safetensors, and the small files that engines read beside them.

    ``only`` is the one GGUF file that is wanted, with the other parts where it is split. Without it a GGUF file is
    taken where there is one and no safetensors.

    Weights are taken from the top folder only, and once: where ``model.safetensors`` (or its shards) are there,
    precision variants (``model.fp16.safetensors``) and Mistral's ``consolidated`` copies stay behind. A
    sentence-transformers layout (``modules.json``) brings the folders of its modules.

    Raises:
        UnsafeWeightsError: the weights exist only as pickles.
        WeightsError: there are no weights that pilotlight can use, or those of several models.
    """
    everything = sorted(set(names))
    if only is not None:
        return _one_file(everything, only, source)
    top = [name for name in everything if "/" not in name]
    weights = pick_weights(top, where=source).names
    small = [name for name in top if _matches(name, SMALL_FILES)]
    if "modules.json" in top:
        small += [name for name in top if name in SENTENCE_TRANSFORMERS]
        small += [name for name in everything if name.count("/") == 1 and _belongs_to_module(name)]
    models = gguf_models(top)
    if not weights and len(models) == 1:
        return [safe_name(name) for name in parts_of(models[0])]
    if not weights:
        raise _no_weights(everything, models, source)
    return [safe_name(name) for name in sorted({*weights, *small})]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _belongs_to_module(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder[:1].isdigit() and file in ("config.json", "model.safetensors")


def _one_file(names: list[str], only: str, source: str) -> list[str]:
    parts = parts_of(only)
    missing = [name for name in parts if name not in names]
    if missing or not is_gguf(only):
        raise WeightsError(
            f"{source}: {'there is no such file' if missing else 'that is not a GGUF file'}. GGUF files there: "
            f"{', '.join(gguf_models(names)) or 'none'}"
        )
    return [safe_name(name) for name in parts]


def _no_weights(names: list[str], ggufs: list[str], source: str) -> UnsafeWeightsError | WeightsError:
    pickles = [name for name in names if is_pickle(name)]
    nested = [name for name in names if fnmatchcase(name, WEIGHTS)]
    if ggufs:
        return WeightsError(
            f"{source} has {len(ggufs)} GGUF files ({', '.join(ggufs)}): name one of them, such as {source}#{ggufs[0]}"
        )
    if nested:
        return WeightsError(
            f"{source} has safetensors only in sub-folders ({some(nested)}): that is not a transformers model, "
            "whose weights lie beside its config.json"
        )
    if pickles:
        return UnsafeWeightsError(
            f"{source} has its weights only as pickles ({some(pickles)}): loading a pickle runs whatever code is in "
            "it, so pilotlight never does. Use a revision or a copy with safetensors, or convert it on a machine you "
            "can lose: load it with transformers there and call save_pretrained(folder), which writes safetensors"
        )
    return WeightsError(f"{source} has no *.safetensors file ({some(names) or 'it is empty'})")
