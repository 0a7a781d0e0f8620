"""Small tokenizers of the kinds that models have, made on the spot.

    from tests.tokenizers import byte_level_tokenizer, llama_tokenizer

    byte_level_tokenizer() -> Tokenizer
        GPT-2's kind: every byte is a letter; a few letters and U+FFFD are one token together.
    llama_tokenizer() -> Tokenizer
        Llama 2's kind: ``▁`` is a space, what has no token is spelled in bytes, and the first space is stripped.

Both have the special tokens ``<unk>`` (0), ``<s>`` (1), ``</s>`` (2) and ``<|end|>`` (3).
"""

from __future__ import annotations

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

__all__ = ["byte_level_tokenizer", "llama_tokenizer"]

SPECIAL = ("<unk>", "<s>", "</s>", "<|end|>")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@cache
def byte_level_tokenizer() -> Tokenizer:
    """See the top of this file."""
    vocab = {token: number for number, token in enumerate(SPECIAL)}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab.setdefault(letter, len(vocab))
    merges = [("h", "e"), ("Ġ", "t"), ("ï", "¿"), ("ï¿", "½"), ("ð", "Ł"), ("ðŁ", "Ļ")]
    for first, second in merges:
        vocab.setdefault(first + second, len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _with_special(tokenizer)


@cache
def llama_tokenizer() -> Tokenizer:
    """See the top of this file."""
    vocab = {token: number for number, token in enumerate(SPECIAL)}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for word in (*LETTERS, "▁", "▁world", "▁again", "▁the"):
        vocab.setdefault(word, len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return _with_special(tokenizer)


def _with_special(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer
