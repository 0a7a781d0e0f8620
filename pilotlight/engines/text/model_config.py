"""Reads a language model's limits from the JSON files of its folder, without transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engines.text.tokenizer import special_tokens
from pilotlight.errors import WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["ModelFacts", "read_facts", "read_repetition_penalty"]

DEFAULT_CONTEXT_TOKENS = 8192  # of a model that states none, as in torch.load
NO_LIMIT = 10**9  # a tokenizer without a limit has 1e30


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an engine needs to know of a model.

    Attributes:
        context_tokens: prompt and output together, at most.
        eos_ids: tokens that end a text; may be empty.
        vocab_size: logits per token.
    """

    context_tokens: int
    eos_ids: tuple[int, ...]
    vocab_size: int


def read_facts(folder: Path, token_id: Callable[[str], int | None]) -> ModelFacts:
    """Read the facts of the model in ``folder``, by the rules of ``torch.load``.

    Args:
        folder: a model folder.
        token_id: of its tokenizer.

    Raises:
        WeightsError: a file is not JSON, or ``config.json`` is missing.
    """
    whole = read_json(folder / "config.json")
    nested = whole.get("text_config")
    config: dict[str, Any] = whole | nested if isinstance(nested, dict) else whole
    tokenizer = _optional(folder / "tokenizer_config.json")
    eos_token = special_tokens(tokenizer).get("eos_token")
    from_tokenizer = {"eos_token_id": token_id(eos_token)} if eos_token else {}
    return ModelFacts(
        context_tokens=_context_tokens(config, tokenizer),
        eos_ids=_eos_ids(_optional(folder / "generation_config.json"), config, from_tokenizer),
        vocab_size=int(config.get("vocab_size") or 0),
    )


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


def _context_tokens(config: dict[str, Any], tokenizer: dict[str, Any]) -> int:
    sizes = [config.get(key) for key in ("max_position_embeddings", "n_positions", "max_seq_len")]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    limit = tokenizer.get("model_max_length")
    known += [int(limit)] if isinstance(limit, int | float) and 0 < limit < NO_LIMIT else []
    return min(known) if known else DEFAULT_CONTEXT_TOKENS


def _eos_ids(*owners: dict[str, Any]) -> tuple[int, ...]:
    for owner in owners:
        ids = owner.get("eos_token_id")
        if ids is not None:
            return tuple(ids) if isinstance(ids, list) else (int(ids),)
    return ()


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
