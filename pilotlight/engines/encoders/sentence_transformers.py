"""Reads the layout of sentence-transformers: which modules follow the transformer, and what precedes a text.

``modules.json`` lists the modules in their order, each with a class and a folder. The classes that this module knows
are Transformer, Pooling, Dense, Normalize and Dropout; a folder with another one is refused by the class's name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pilotlight.engines.encoders.types import TextRules
from pilotlight.errors import WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["DENSE_ACTIVATIONS", "Dense", "Normalize", "Pooling", "SentenceLayout", "body_folder", "read_layout"]

MODULES = "modules.json"
# The keys of the old form, in the order in which their vectors are joined, with the modes of the new form.
OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
DENSE_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one, named as in ``PILOTLIGHT_POOLING``.

    The first token's, the last one's, the mean, the mean with weights that grow with the position, the sum over the
    root of the number of tokens, and the largest number of each dimension.
    """

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    MAX = "max"
    WEIGHTED = "weighted"
    SQRT = "sqrt"


MODES = {
    "cls": Pooling.CLS,
    "max": Pooling.MAX,
    "mean": Pooling.MEAN,
    "mean_sqrt_len_tokens": Pooling.SQRT,
    "weightedmean": Pooling.WEIGHTED,
    "lasttoken": Pooling.LAST,
}


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer over the pooled vector.

    Attributes:
        folder: with ``model.safetensors``.
        activation: one of ``DENSE_ACTIVATIONS``.
        residual: whether the layer's input is added to its output.
    """

    folder: Path
    activation: str
    residual: bool = False


@dataclass(frozen=True, slots=True)
class Normalize:
    """The vector gets the length 1, and further layers follow."""


@dataclass(frozen=True, slots=True)
class SentenceLayout:
    """What the files of sentence-transformers say.

    Attributes:
        pooling: the vectors of several are joined in this order; empty where no module pools.
        layers: over the pooled vector.
        rules: about the texts.
        max_tokens: of a text; ``None`` where no file says.
    """

    pooling: tuple[Pooling, ...]
    layers: tuple[Dense | Normalize, ...]
    rules: TextRules
    max_tokens: int | None


def body_folder(folder: Path) -> Path:
    """Return the folder with the transformer: ``folder``, or the one within it that ``modules.json`` names.

    Raises:
        WeightsError: ``modules.json`` is damaged.
    """
    return next((path for kind, path in _modules(folder) if kind == "Transformer"), folder)


def read_layout(folder: Path, asked: tuple[Pooling, ...] = ()) -> SentenceLayout:
    """Read the layout of the model in ``folder``; one without such files pools by nothing and has no layers.

    Args:
        folder: a model folder.
        asked: the pooling that the user has set, which goes before the one in the files.

    Raises:
        WeightsError: a file is damaged, or a module is of a class that this module does not know.
    """
    modules = _modules(folder)
    if not modules and (folder / "1_Pooling" / "config.json").is_file():
        modules = [("Transformer", folder), ("Pooling", folder / "1_Pooling")]
    pooling: tuple[Pooling, ...] = ()
    pool_prompt = True
    layers: list[Dense | Normalize] = []
    for kind, path in modules:
        if kind == "Pooling" and not pooling:
            pooling, pool_prompt = (asked, True) if asked else _pooling(path)
        elif kind == "Dense" and pooling:
            layers.append(_dense(path))
        elif kind == "Normalize" and pooling:
            layers.append(Normalize())
        elif kind not in ("Transformer", "Dropout"):
            raise WeightsError(
                f"{folder} has a module {kind} of sentence-transformers "
                f"({' -> '.join(name for name, _ in modules)}), which is not computed here; there are Transformer, "
                "Pooling, Dense and Normalize, in this order"
            )
    if layers and isinstance(layers[-1], Normalize):
        layers.pop()  # what ends in one is normalized where the prediction's input says so, which is the default
    settings = next((read_json(path) for path in sorted(body_folder(folder).glob("sentence_*_config.json"))), {})
    computes = settings.get("transformer_task") or "feature-extraction"
    if pooling and computes != "feature-extraction":
        raise WeightsError(
            f"{folder} pools what a model for {computes} gives; only feature-extraction is computed here"
        )
    longest = settings.get("max_seq_length")
    rules = replace(
        _prompts(folder),
        pool_prompt=pool_prompt,
        lower_case=settings.get("do_lower_case") is True,
        strip=bool(modules),
    )
    return SentenceLayout(pooling, tuple(layers), rules, longest if isinstance(longest, int) else None)


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Return the class and the folder of each module; an empty list without ``modules.json``."""
    path = folder / MODULES
    if not path.is_file():
        return []
    try:
        found = [(str(entry["type"]).rpartition(".")[2], str(entry["path"])) for entry in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{path} is not a list of modules: {error!r}") from error
    for kind, place in found:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise WeightsError(f"{path} has its module {kind} in {place!r}, which is outside of the model's folder")
    return [(kind, folder / place) for kind, place in found]


def _pooling(folder: Path) -> tuple[tuple[Pooling, ...], bool]:
    """Return the modes of a Pooling module, and whether it counts the prompt's tokens."""
    config = read_json(folder / "config.json")
    stated: Any = config.get("pooling_mode")
    if stated is None:
        stated = [mode for key, mode in OLD_MODES.items() if config.get(key)]
    modes = [stated] if isinstance(stated, str) else list(stated)
    other = [key for key, on in config.items() if key.startswith("pooling_mode_") and on and key not in OLD_MODES]
    unknown = [*(str(mode) for mode in modes if mode not in MODES), *other]
    if unknown:
        raise WeightsError(
            f"{folder}/config.json pools by {', '.join(unknown)}, which is not among {', '.join(MODES)}: set "
            f"PILOTLIGHT_POOLING to one of {', '.join(Pooling)}"
        )
    return tuple(MODES[mode] for mode in modes) or (Pooling.MEAN,), config.get("include_prompt") is not False


def _dense(folder: Path) -> Dense:
    config = read_json(folder / "config.json")
    stated = str(config.get("activation_function") or "torch.nn.modules.activation.Tanh")  # the class's default
    package, _, name = stated.rpartition(".")
    if not package.startswith("torch.nn") or name not in DENSE_ACTIVATIONS:
        raise WeightsError(
            f"{folder}/config.json has the activation {stated}; those computed here are {', '.join(DENSE_ACTIVATIONS)} "
            "of torch.nn"
        )
    places = [config.get(key) or "sentence_embedding" for key in ("module_input_name", "module_output_name")]
    if places != ["sentence_embedding"] * 2:
        raise WeightsError(f"{folder}/config.json changes {' into '.join(places)}; only sentence_embedding is computed")
    if not (folder / "model.safetensors").is_file():
        raise WeightsError(
            f"{folder} has no model.safetensors, and pickles are never loaded: save the model with a newer "
            "sentence-transformers (model.save(path, safe_serialization=True))"
        )
    return Dense(folder, name, config.get("use_residual") is True)


def _prompts(folder: Path) -> TextRules:
    path = folder / "config_sentence_transformers.json"
    config = read_json(path) if path.is_file() else {}
    prompts = config.get("prompts") or {}
    default = config.get("default_prompt_name") or ""
    if not isinstance(prompts, dict) or not isinstance(default, str):
        raise WeightsError(f"{path} names its prompts in a form that is not known: {prompts!r:.100}")
    if default and default not in prompts:
        raise WeightsError(f"{path} has the default prompt {default}, which is not among its prompts")
    return TextRules({str(name): str(text or "") for name, text in prompts.items()}, default)
