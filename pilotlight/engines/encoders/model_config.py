"""Reads an encoder's task, labels, activation and limits from the JSON files of its folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pilotlight.engines.encoders.types import Activation, Task
from pilotlight.errors import ConfigError, WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["EncoderFacts", "Pooling", "native_task", "read_encoder"]

CLASSIFIER = "ForSequenceClassification"
GENERATORS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
# Models whose positions begin after the padding token's id: two of 514 are never used.
OFFSET_POSITIONS = (
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
NO_LIMIT = 10**9  # a tokenizer without a limit has 1e30
DEFAULT_MAX_TOKENS = 512  # of a model that states none


class Pooling(StrEnum):
    """How the tokens' vectors become the text's: their mean, or the first one."""

    MEAN = "mean"
    CLS = "cls"


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """What an engine needs to know of an encoder.

    Attributes:
        max_tokens: of a text, special ones included.
        labels: in the order of the scores; empty unless it classifies.
        activation: of a classifier.
        pooling: of an embedder.
        pad_id: the padding token.
    """

    max_tokens: int
    labels: tuple[str, ...]
    activation: Activation
    pooling: Pooling
    pad_id: int


def read_encoder(folder: Path, task: Task, *, pooling: str = "auto") -> EncoderFacts:
    """Read the facts of the model in ``folder``, as transformers and sentence-transformers write them.

    Args:
        folder: a model folder.
        task: what it is to do.
        pooling: ``auto`` is the one in ``1_Pooling/config.json``, else the mean.

    Raises:
        WeightsError: a file is damaged, or the model is not for this task.
        ConfigError: the pooling is not supported.
    """
    config = read_json(folder / "config.json")
    made_for, named = native_task(folder), ", ".join(map(str, config.get("architectures") or ("none",)))
    if task is Task.CLASSIFY and made_for is not task:
        raise WeightsError(
            f"{folder} is not a classifier: its architecture is {named}, and one that ends in {CLASSIFIER} is needed; "
            "serve it as an embedder, or fine-tune it first"
        )
    if task is Task.EMBED and made_for is None:
        raise WeightsError(
            f"{folder} is not an encoder (its architecture is {named}): serve it with predict.py:Predictor"
        )
    return EncoderFacts(
        max_tokens=_max_tokens(folder, config),
        labels=_labels(config) if task is Task.CLASSIFY else (),
        activation=_activation(config),
        pooling=_pooling(folder, pooling),
        pad_id=config.get("pad_token_id") or 0,
    )


def native_task(folder: Path) -> Task | None:
    """Return the task that the model was trained for; ``None`` for one that generates text, or names none.

    Raises:
        WeightsError: ``config.json`` is missing or damaged.
    """
    names = [str(name) for name in read_json(folder / "config.json").get("architectures") or ()]
    if any(name.endswith(CLASSIFIER) for name in names):
        return Task.CLASSIFY
    return Task.EMBED if names and not any(name.endswith(GENERATORS) for name in names) else None


def _max_tokens(folder: Path, config: dict[str, Any]) -> int:
    positions = config.get("max_position_embeddings") or DEFAULT_MAX_TOKENS
    if config.get("model_type") in OFFSET_POSITIONS:
        positions -= (config.get("pad_token_id") or 0) + 1
    known = [
        positions,
        _optional(folder / "tokenizer_config.json").get("model_max_length"),
        _optional(folder / "sentence_bert_config.json").get("max_seq_length"),
    ]
    return min(int(size) for size in known if isinstance(size, int | float) and 0 < size < NO_LIMIT)


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels by transformers' rules: two where none are named."""
    named = config.get("id2label")
    if not isinstance(named, dict):
        return tuple(f"LABEL_{i}" for i in range(int(config.get("num_labels") or 2)))
    try:
        by_index = {int(index): str(label) for index, label in named.items()}
        return tuple(by_index[i] for i in range(len(by_index)))
    except (ValueError, KeyError):
        raise WeightsError(
            f"config.json numbers its labels {', '.join(map(str, named))}; expected 0, 1, 2, ..."
        ) from None


def _activation(config: dict[str, Any]) -> Activation:
    kind = config.get("problem_type")
    if kind == "regression":
        return Activation.NONE
    if kind == "multi_label_classification" or len(config.get("id2label") or (0, 1)) == 1:
        return Activation.SIGMOID
    return Activation.SOFTMAX


def _pooling(folder: Path, asked: str) -> Pooling:
    if asked != "auto":
        if asked not in tuple(Pooling):
            raise ConfigError(f"PILOTLIGHT_POOLING is {asked!r}; expected auto, {' or '.join(Pooling)}")
        return Pooling(asked)
    stated = _optional(folder / "1_Pooling" / "config.json")
    if not stated or stated.get("pooling_mode_mean_tokens"):
        return Pooling.MEAN
    if stated.get("pooling_mode_cls_token"):
        return Pooling.CLS
    modes = [name for name, on in stated.items() if name.startswith("pooling_mode") and on]
    raise ConfigError(
        f"{folder} pools by {', '.join(modes) or 'nothing known'}, which is not among {', '.join(Pooling)}: set "
        "PILOTLIGHT_POOLING to one of them"
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
