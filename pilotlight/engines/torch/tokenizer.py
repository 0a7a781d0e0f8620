"""Opens a model folder's tokenizer with transformers, and compares it with the model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pilotlight.engines.torch.lean_transformers import AutoTokenizer
from pilotlight.errors import WeightsError
from pilotlight.loading.files.tokenizer_files import require_tokenizer

__all__ = ["open_tokenizer", "require_embedded_vocabulary"]

log = logging.getLogger(__name__)


def open_tokenizer(folder: Path) -> Any:
    """Open the tokenizer in ``folder``; runs no code from it.

    Raises:
        WeightsError: there is none, or it cannot be read.
    """
    require_tokenizer(folder)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers package raises bare Exception; a missing package is an ImportError
        raise WeightsError(f"{folder}: its tokenizer cannot be read: {' '.join(str(error).split())}") from error


def require_embedded_vocabulary(folder: Path, tokenizer: Any, rows: int) -> None:
    """Refuse a tokenizer of another model: one whose own vocabulary is larger than the model's embedding.

    Tokens that were added beyond the embedding are left: a request whose prompt holds one of them is refused.

    Args:
        folder: the model's, for messages.
        tokenizer: transformers' own.
        rows: tokens that the model has embeddings for.

    Raises:
        WeightsError: with both sizes.
    """
    size = tokenizer.vocab_size
    if size > rows:
        raise WeightsError(
            f"{folder}: its tokenizer has {size} tokens and the model has embeddings for {rows}: they are of different "
            "models"
        )
    if len(tokenizer) > rows:
        log.warning(
            "%s: the tokenizer has %d added tokens that the model has no embedding for; a prompt with one of them is "
            "refused",
            folder,
            len(tokenizer) - rows,
        )
