"""Reads an encoder's task, labels, activation and limits from the JSON files of its folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotlight.config.variables import POOLING
from pilotlight.engines.encoders.limits import DEFAULT_MAX_TOKENS, NO_LIMIT, position_limit
from pilotlight.engines.encoders.sentence_transformers import (
    Dense,
    Normalize,
    Pooling,
    SentenceLayout,
    body_folder,
    read_layout,
)
from pilotlight.engines.encoders.types import Activation, Task, TextRules
from pilotlight.errors import ConfigError, WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["SPLIT", "EncoderFacts", "Pooling", "native_task", "read_encoder"]

CLASSIFIER = "ForSequenceClassification"
GENERATORS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
# Architectures whose body is commonly embedded with. What ends in none of these answers another question.
EMBEDDABLE = ("Model", "ForMaskedLM", "ForPreTraining", CLASSIFIER)
# Encoder-decoders whose encoder transformers loads by itself. The vectors of any other would be the decoder's.
SPLIT = frozenset({"mt5", "t5", "umt5"})


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """What an engine needs to know of an encoder.

    Attributes:
        body: the folder with the transformer's own files, its tokenizer included.
        model_type: as transformers names the architecture.
        max_tokens: of a text, special ones included.
        labels: in the order of the scores; empty unless it classifies.
        activation: of a classifier.
        pooling: of an embedder; the vectors of several are joined.
        layers: of an embedder, over the pooled vector.
        pad_id: the padding token; ``None`` where the model has none.
        vocab_size: token ids of the model; ``None`` where it has no table of them.
        typed: whether the tokenizer makes token types, by its files.
        rules: about the texts.
        note: what a user should know of how the model is used; may be empty.
    """

    body: Path
    model_type: str
    max_tokens: int
    labels: tuple[str, ...]
    activation: Activation
    pooling: tuple[Pooling, ...]
    layers: tuple[Dense | Normalize, ...]
    pad_id: int | None
    vocab_size: int | None
    typed: bool
    rules: TextRules = field(default_factory=TextRules)
    note: str = ""


def read_encoder(folder: Path, task: Task, *, pooling: str = "auto") -> EncoderFacts:
    """Read the facts of the model in ``folder``, as transformers and sentence-transformers write them.

    Args:
        folder: a model folder.
        task: what it is to do.
        pooling: ``auto`` is the one that the folder's files state, else the mean.

    Raises:
        WeightsError: a file is damaged, or the model is not for this task.
        ConfigError: the pooling is not supported.
    """
    asked = _asked_pooling(pooling)
    body = body_folder(folder)
    config = read_json(body / "config.json")
    layout = read_layout(folder, asked)
    note = _require_task(folder, config, task, layout, knowingly=bool(asked))
    tokenizer = _optional(body / "tokenizer_config.json")
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else {}
    merged = {**(text or {}), **{key: value for key, value in config.items() if value is not None}}
    labels = _labels(config) if task is Task.CLASSIFY else ()
    rules = layout.rules
    if task is Task.CLASSIFY:
        rules = TextRules()
        _require_no_prompt(folder, layout.rules)
    return EncoderFacts(
        body=body,
        model_type=str(config.get("model_type") or ""),
        max_tokens=_max_tokens(merged, tokenizer, layout),
        labels=labels,
        activation=_activation(folder, config, labels),
        pooling=asked or layout.pooling or (Pooling.MEAN,),
        layers=layout.layers if task is Task.EMBED else (),
        pad_id=merged.get("pad_token_id"),
        vocab_size=merged.get("vocab_size"),
        typed=_makes_types(tokenizer),
        rules=replace(rules, cut_left=tokenizer.get("truncation_side") == "left"),
        note=note,
    )


def native_task(folder: Path) -> Task | None:
    """Return the task that the model was trained for; ``None`` for one that generates text, or names none.

    Raises:
        WeightsError: ``config.json`` or ``modules.json`` is missing or damaged.
    """
    names = _architectures(read_json(body_folder(folder) / "config.json"))
    if any(name.endswith(CLASSIFIER) for name in names):
        return Task.CLASSIFY
    if (folder / "modules.json").is_file():
        return Task.EMBED
    embeds = [name.endswith(EMBEDDABLE) and not name.endswith(GENERATORS) for name in names]
    return Task.EMBED if names and all(embeds) else None


def _makes_types(tokenizer: dict[str, Any]) -> bool:
    """Whether a tokenizer gives the model token types, by transformers' rules; its generic classes do not."""
    stated = tokenizer.get("model_input_names")
    if isinstance(stated, list):
        return "token_type_ids" in stated
    return tokenizer.get("tokenizer_class") not in ("PreTrainedTokenizerFast", "TokenizersBackend")


def _architectures(config: dict[str, Any]) -> list[str]:
    return [str(name) for name in config.get("architectures") or ()]


def _require_task(folder: Path, config: dict[str, Any], task: Task, layout: SentenceLayout, *, knowingly: bool) -> str:
    """Refuse a model that is not for ``task``; return what a user should know where it is used for another one.

    Args:
        folder: of the model.
        config: of its transformer.
        task: what it is to do.
        layout: of sentence-transformers.
        knowingly: whether the user has set the pooling, and so has decided to embed with it.
    """
    names = _architectures(config)
    named, kind = ", ".join(names) or "none", str(config.get("model_type") or "")
    if task is Task.CLASSIFY:
        if not any(name.endswith(CLASSIFIER) for name in names):
            raise WeightsError(
                f"{folder} is not a classifier: its architecture is {named}, and one that ends in {CLASSIFIER} is "
                "needed; serve it as an embedder, or fine-tune it first"
            )
        return ""
    if layout.pooling:
        return ""
    if config.get("is_encoder_decoder") and kind not in SPLIT:
        raise WeightsError(
            f"{folder} is an encoder-decoder ({named}), and no file of sentence-transformers says how its states "
            "become a vector; serve a model that was trained to embed"
        )
    if knowingly and names:
        return f"{named} embeds with its body, pooled as PILOTLIGHT_POOLING says"
    if not names or any(name.endswith(GENERATORS) for name in names):
        raise WeightsError(
            f"{folder} is not an encoder (its architecture is {named}): serve it with predict.py:Predictor, or, if it "
            "was trained to embed, set PILOTLIGHT_POOLING to how it pools, such as last"
        )
    other = [name for name in names if not name.endswith(EMBEDDABLE)]
    if other:
        raise WeightsError(
            f"{folder} was trained for another task ({', '.join(other)}) than to embed or to classify texts; to embed "
            "with its body all the same, set PILOTLIGHT_POOLING, for example to mean"
        )
    plain = all(name.endswith("Model") for name in names)
    return "" if plain else f"{named} embeds with its body, by the mean of its last states; its head is not used"


def _require_no_prompt(folder: Path, rules: TextRules) -> None:
    if rules.default_prompt and rules.prompts[rules.default_prompt]:
        raise WeightsError(
            f"{folder} puts the prompt {rules.default_prompt} before the texts that it classifies, which is done for "
            "embedders only"
        )


def _max_tokens(config: dict[str, Any], tokenizer: dict[str, Any], layout: SentenceLayout) -> int:
    known = [position_limit(config), tokenizer.get("model_max_length"), layout.max_tokens]
    stated = [int(size) for size in known if isinstance(size, int | float) and 0 < size < NO_LIMIT]
    return min(stated, default=DEFAULT_MAX_TOKENS)


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


def _activation(folder: Path, config: dict[str, Any], labels: tuple[str, ...]) -> Activation:
    """Return how scores are made: as a cross-encoder's files state, else by transformers' rules."""
    section = config.get("sentence_transformers")
    stated = (section.get("activation_fn") if isinstance(section, dict) else None) or config.get(
        "sbert_ce_default_activation_function"
    )
    if labels and not stated:
        stated = _optional(folder / "config_sentence_transformers.json").get("activation_fn")
    if labels and stated:
        name = str(stated).rpartition(".")[2]
        if name not in ("Identity", "Sigmoid", "Softmax") or not str(stated).startswith("torch.nn"):
            raise WeightsError(
                f"{folder} makes its scores by {stated}; Identity, Sigmoid and Softmax of torch.nn are computed here"
            )
        return {"Identity": Activation.NONE, "Sigmoid": Activation.SIGMOID}.get(name, Activation.SOFTMAX)
    kind = config.get("problem_type")
    if kind == "regression":
        return Activation.NONE
    if kind == "multi_label_classification" or len(labels) == 1:
        return Activation.SIGMOID
    return Activation.SOFTMAX


def _asked_pooling(asked: str) -> tuple[Pooling, ...]:
    """Return the pooling that the user has set; an empty tuple for ``auto``."""
    if asked == "auto":
        return ()
    if asked not in tuple(Pooling):
        raise ConfigError(f"PILOTLIGHT_POOLING is {asked!r}; expected {POOLING.expected}")
    return (Pooling(asked),)


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
