"""Which safetensors files make up a model: decided by their names alone.

transformers' own names come first: ``model.safetensors``, then the shards of ``model.safetensors.index.json``. A folder
with one file of another name (``weights.safetensors``, ``model.fp16.safetensors``), or with numbered shards and no
index, is a model too. Where the names leave a choice, the folder is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pilotlight.errors import WeightsError
from pilotlight.loading.files.wording import some

__all__ = ["INDEX", "WHOLE", "PickedWeights", "is_adapter", "pick_weights"]

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ANY_INDEX = "*.safetensors.index*.json"
ADAPTER_CONFIG = "adapter_config.json"
PIPELINE = "model_index.json"
ADAPTERS = ("adapter_model*.safetensors", "adapters.safetensors", "*lora*.safetensors")
# Mistral's own files, whose tensors have other names than transformers'.
CONSOLIDATED = "consolidated*.safetensors"
# States of a training run that lie beside a model.
TRAINING = ("optimizer*.safetensors", "scheduler*.safetensors", "random_states*.safetensors")
SHARD = re.compile(r"(?P<stem>.+)-0*(?P<number>\d+)-of-0*(?P<total>\d+)(?P<variant>(?:\.[\w-]+)?)\.safetensors")


@dataclass(frozen=True, slots=True)
class PickedWeights:
    """The weights among the files of a folder.

    Attributes:
        names: of the files; empty where there are none. With an index these are candidates, and its content decides.
        index: the name of the index, where there is one.
    """

    names: tuple[str, ...]
    index: str | None = None


def pick_weights(names: Iterable[str], *, where: str) -> PickedWeights:
    """Pick the files that make up the model among the files at the top of a folder.

    Args:
        names: of the files, without folders.
        where: the folder or source, for messages.

    Raises:
        WeightsError: they are an adapter, a pipeline of several models, an incomplete set of shards, or several
            models.
    """
    there = set(names)
    weights = sorted(name for name in there if name.endswith(".safetensors"))
    if WHOLE in there:
        return PickedWeights((WHOLE,))
    if PIPELINE in there:
        raise WeightsError(
            f"{where} is a diffusers pipeline ({PIPELINE}), several models that make images or sound together: "
            "pilotlight's predictors serve language models and text encoders"
        )
    own = [name for name in weights if not _matches(name, (*ADAPTERS, CONSOLIDATED, *TRAINING))]
    if any(name.startswith("model-") for name in own):
        own = [name for name in own if not name.startswith("model.")]  # a variant: model.fp16-00001-of-00002
    indexes = [INDEX] if INDEX in there else sorted(name for name in there if fnmatchcase(name, ANY_INDEX))
    if len(indexes) == 1:
        return PickedWeights(tuple(own), indexes[0])
    if own and not indexes:
        _require_one_model(own, where)
        return PickedWeights(tuple(own))
    if own:
        raise WeightsError(f"{where} has several models ({some(indexes)}): keep the files of one")
    if is_adapter(there):
        raise WeightsError(
            f"{where} is an adapter ({some([n for n in weights if is_adapter([n])] or [ADAPTER_CONFIG])}) without its "
            f"model, which {ADAPTER_CONFIG} names: merge the two with peft's merge_and_unload(), save the result with "
            "save_pretrained(folder), and serve that"
        )
    if weights:
        raise WeightsError(
            f"{where} has its weights only as {some(weights)}, which transformers does not load: take a copy "
            f"with {WHOLE}"
        )
    return PickedWeights(())


def is_adapter(names: Collection[str]) -> bool:
    """Return whether there is an adapter among the files of these names."""
    return ADAPTER_CONFIG in names or any(_matches(name, ADAPTERS) for name in names)


def _require_one_model(names: list[str], where: str) -> None:
    """Refuse several files, unless they are all the shards of one model."""
    found = [SHARD.fullmatch(name) for name in names]
    shards = [match for match in found if match is not None]
    if len(names) == 1 and not shards:
        return
    sets = {(match["stem"], match["total"], match["variant"]) for match in shards}
    if len(shards) < len(names) or len(sets) > 1:
        raise WeightsError(
            f"{where} has {len(names)} weight files and no {INDEX} that says which belong together ({some(names)}): "
            f"keep one model, whose file is best named {WHOLE}"
        )
    total = int(shards[0]["total"])
    missing = sorted(set(range(1, total + 1)) - {int(match["number"]) for match in shards})
    if missing:
        raise WeightsError(
            f"{where} lacks {len(missing)} of {total} shards (number {some([str(one) for one in missing])}): "
            "fetch it again"
        )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
