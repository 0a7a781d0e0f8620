"""Encoder folders for tests: tiny, with random weights, made on the spot.

    from tests.encoders import tiny_embedder, tiny_classifier

    tiny_classifier(folder: Path, arch: str = "distilbert", labels=("code", "prose", "noise"), **config) -> Path
    tiny_embedder(folder: Path, arch: str = "distilbert", **config) -> Path
        Writes and returns a model folder below ``folder``: config, tokenizer (``[CLS] text [SEP]``) and fp32
        safetensors of a two-layer model of hidden size 32 that reads 64 tokens.

``ARCHITECTURES`` names those that there are: bert, distilbert, roberta (whose positions are numbered from behind the
padding token).  The weights are so large that texts get visibly different numbers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from scripts.train.train_classifier import make_tokenizer, save_tokenizer
from tests.models import TEXT

__all__ = ["ARCHITECTURES", "LABELS", "MAX_TOKENS", "tiny_classifier", "tiny_embedder"]

LABELS = ("code", "prose", "noise")
MAX_TOKENS = 64
VOCAB = 400
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"vocab_size": VOCAB, "max_position_embeddings": MAX_TOKENS, "initializer_range": 0.3, "pad_token_id": 0}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SIZES),
    "distilbert": (
        "DistilBert",
        {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "vocab_size": VOCAB, "initializer_range": 0.3}
        | {"max_position_embeddings": MAX_TOKENS},
    ),
    "roberta": ("Roberta", SIZES | {"pad_token_id": 1, "max_position_embeddings": MAX_TOKENS + 2}),
}


@cache
def tokenizer() -> Any:
    return make_tokenizer(TEXT, VOCAB)


def make(folder: Path, arch: str, head: str, **settings: Any) -> Path:
    name, shape = ARCHITECTURES[arch]
    config = getattr(transformers, f"{name}Config")(**{**shape, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{name}{head}")(config)
    model.save_pretrained(folder)
    # No limit in the tokenizer's files: that of the positions has to be found.
    save_tokenizer(tokenizer(), folder, max_tokens=10**30)
    return folder


def tiny_classifier(folder: Path, arch: str = "distilbert", labels: tuple[str, ...] = LABELS, **config: Any) -> Path:
    """Make one; see the top of this file."""
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return make(folder / f"{arch}-classifier", arch, "ForSequenceClassification", **names, **config)


def tiny_embedder(folder: Path, arch: str = "distilbert", **config: Any) -> Path:
    """Make one; see the top of this file."""
    return make(folder / f"{arch}-embedder", arch, "Model", **config)
