"""Reads a language model's limits from the JSON files of its folder, without transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pilotlight.engines.text.types import TokenCodec
from pilotlight.errors import WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["ModelFacts", "NamedTokenCodec", "limit_context", "read_eos_ids", "read_facts", "read_repetition_penalty"]

DEFAULT_CONTEXT_TOKENS = 8192  # of a model that states none
# What configurations call it: most, GPT-2, MPT and DBRX, GPT-J, BLOOM, Baichuan, RWKV, Ling.
CONTEXT_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "n_ctx",
    "seq_length",
    "max_sequence_length",
    "context_length",
    "model_max_length",
)
NO_LIMIT = 10**9  # a tokenizer without a limit has 1e30


class NamedTokenCodec(TokenCodec, Protocol):
    """A codec that knows its tokens by name."""

    @property
    def names(self) -> Mapping[str, str]:
        """The tokens with a name, such as ``eos_token``."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an engine needs to know of a model.

    Attributes:
        context_tokens: prompt and output together, at most.
        eos_ids: tokens that end a text, all below ``vocab_size`` where that is known; may be empty.
        vocab_size: logits per token.
    """

    context_tokens: int
    eos_ids: tuple[int, ...]
    vocab_size: int


def read_facts(folder: Path, codec: NamedTokenCodec) -> ModelFacts:
    """Read the facts of the model in ``folder``, by the rules of ``torch.load``.

    Args:
        folder: a model folder.
        codec: of its tokenizer.

    Raises:
        WeightsError: a file is not JSON, ``config.json`` is missing, or the chat template is not valid.
    """
    whole = read_json(folder / "config.json")
    nested = whole.get("text_config")
    config: dict[str, Any] = whole | nested if isinstance(nested, dict) else whole
    vocab_size = int(config.get("vocab_size") or 0)
    return ModelFacts(
        context_tokens=limit_context(config, _optional(folder / "tokenizer_config.json").get("model_max_length")),
        eos_ids=read_eos_ids(folder, codec, vocab_size),
        vocab_size=vocab_size,
    )


def limit_context(config: Mapping[str, Any], tokenizer_limit: object) -> int:
    """Return how many tokens a model takes, prompt and output together: the smallest limit that is stated.

    Args:
        config: the settings of the model's text part, all in one.
        tokenizer_limit: the tokenizer's ``model_max_length``; one without a limit has a number as good as infinite.
    """
    stated = [config.get(name) for name in CONTEXT_NAMES]
    known = [size for size in stated if isinstance(size, int) and not isinstance(size, bool) and 0 < size < NO_LIMIT]
    if isinstance(tokenizer_limit, int | float) and 0 < tokenizer_limit < NO_LIMIT:
        known.append(int(tokenizer_limit))
    return min(known) if known else DEFAULT_CONTEXT_TOKENS


def read_repetition_penalty(folder: Path) -> float:
    """Return the repetition penalty that the model in ``folder`` is meant to be used with: 1 where it states none.

    Raises:
        WeightsError: it is not a number above 0 and at most 10.
    """
    path = folder / "generation_config.json"
    found = _optional(path).get("repetition_penalty", 1.0)
    if not isinstance(found, int | float) or not 0 < found <= 10:
        raise WeightsError(f"{path}: repetition_penalty is {found!r}; expected a number above 0 and at most 10")
    return float(found)


def read_eos_ids(folder: Path, codec: NamedTokenCodec, vocab_size: int) -> tuple[int, ...]:
    """Return the tokens that end a text: those of the generation configuration, the tokenizer and the configuration.

    transformers' ``generate`` stops at those of the generation configuration, or of the configuration where there is no
    other. Here the tokenizer's end-of-text token counts too, and a configuration's that is a special token: checkpoints
    name different ones in different files. Where the chat template ends an answer with none of these tokens, but with
    another special token, that one ends a text as well.

    Args:
        folder: a model folder.
        codec: of its tokenizer.
        vocab_size: tokens that the model has scores for; 0 where that is not known.

    Raises:
        WeightsError: a file is not JSON, or the chat template is not valid.
    """
    first = _ids_of(_optional(folder / "generation_config.json"))
    config = _optional(folder / "config.json")
    nested = config.get("text_config")
    configured = [*_ids_of(config), *_ids_of(nested if isinstance(nested, dict) else {})]
    eos_token = codec.names.get("eos_token")
    named = None if eos_token is None else codec.token_id(eos_token)
    found = [*first, *([] if named is None else [named])]
    found += [token for token in configured if token in codec.special or not first]
    answer_ends = codec.answer_ends
    if answer_ends and not set(answer_ends) & set(found):
        found.append(answer_ends[0])
    return tuple(dict.fromkeys(token for token in found if 0 <= token < (vocab_size or token + 1)))


def _ids_of(owner: Mapping[str, Any]) -> list[int]:
    ids = owner.get("eos_token_id")
    listed = ids if isinstance(ids, list) else [ids]
    return [token for token in listed if isinstance(token, int)]


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
