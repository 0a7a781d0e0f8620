"""Model folders for tests: tiny, with random weights, made on the spot.

    from tests.models import ARCHITECTURES, tiny_model

    tiny_model(arch: str, folder: Path, seed: int = 0) -> Path
        Writes and returns ``folder / f"{arch}-{seed}"``: config, generation config, tokenizer and fp32 safetensors of a
        two-layer model of hidden size 64, 512 token ids and a context of 512 tokens.  The same seed gives the same
        weights.  Loads with ``AutoModelForCausalLM`` and ``AutoTokenizer``.  No chat template.

``ARCHITECTURES`` names the eight that there are: gpt2, llama, qwen3, gemma3 (text; one layer with a sliding window of
16 tokens, one with full attention), phi3, gpt_neox, opt, mixtral.  Greedy output varies from token to token (a test
holds them to that), id 0 is the end of text, and every other id decodes to bytes or words.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer

from scripts.train.make_bench_model import ARCHITECTURES, TINY, TINY_VOCAB, make_model, train_tokenizer

__all__ = ["ARCHITECTURES", "tiny_model"]

TEXT = [
    "def main(args):\n    for name in args:\n        print(name)\n    return 0\n",
    "class Reader:\n    def __init__(self, path):\n        self.path = path\n        self.count = 0\n",
    "The quick brown fox jumps over the lazy dog. Der schnelle braune Fuchs springt über den faulen Hund.\n",
    "one two three four five six seven eight nine ten eleven twelve\n",
]


@cache
def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE from a few lines: words that they hold are one or two tokens, any other byte is one."""
    return train_tokenizer(TEXT, TINY_VOCAB)


def tiny_model(arch: str, folder: Path, seed: int = 0) -> Path:
    """Make one tiny fp32 model folder below ``folder``; see the top of this file."""
    return make_model(folder / f"{arch}-{seed}", TINY[arch], tiny_tokenizer(), seed=seed, dtype=torch.float32)
