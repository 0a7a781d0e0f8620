"""``tokenizer.json`` and ``tokenizer_config.json`` from the vocabulary of a GGUF file."""

from __future__ import annotations

from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.pretokenizers import byte_level_steps
from pilotlight.loading.gguf.vocabulary import Kind, Vocabulary

NO_LIMIT = 10**30  # what transformers writes for a tokenizer without a length limit of its own


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return ``tokenizer.json`` (https://huggingface.co/docs/tokenizers).

    Raises:
        WeightsError: the tokenizer is of a kind that is not known.
    """
    model = vocabulary.metadata.text("tokenizer.ggml.model")
    if model != "gpt2":
        raise WeightsError(f"{vocabulary.metadata.where} has a tokenizer of the kind {model!r}; known are: gpt2")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(vocabulary),
        **_byte_level(vocabulary),
    }


def tokenizer_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return ``tokenizer_config.json``."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": NO_LIMIT,
        "clean_up_tokenization_spaces": False,
        **vocabulary.special_tokens,
    }


def _added_tokens(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return the tokens that are found in a text before it is split: control tokens, and those of users."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": number, "content": token, **plain, "special": kind != Kind.USER_DEFINED}
        for number, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.kinds, strict=True))
        if kind in (Kind.CONTROL, Kind.USER_DEFINED, Kind.UNKNOWN)
    ]


def _byte_level(vocabulary: Vocabulary) -> dict[str, Any]:
    """Byte-level BPE, as GPT-2 introduced it."""
    steps = byte_level_steps(vocabulary.get("pre", ""), vocabulary.metadata.where)
    merges = vocabulary.get("merges")
    if not isinstance(merges, list) or not merges:
        raise WeightsError(f"{vocabulary.metadata.where} has no merges (tokenizer.ggml.merges)")
    # A merge's first half may begin with a space only in damaged files: spaces are written as Ġ.
    pairs = [tuple(merge.split(" ")) for merge in merges]
    if any(len(pair) != 2 for pair in pairs):
        raise WeightsError(f"{vocabulary.metadata.where} has merges that are not two tokens")
    return {
        "normalizer": steps.normalizer,
        "pre_tokenizer": steps.pre_tokenizer,
        "post_processor": _post_processor(vocabulary, add_bos=steps.add_bos),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": steps.ignore_merges,
            "vocab": _vocab(vocabulary),
            "merges": pairs,
        },
    }


def _vocab(vocabulary: Vocabulary) -> dict[str, int]:
    """Return the ids by token, without the rows that the converter filled up."""
    vocab: dict[str, int] = {}
    for number, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.kinds, strict=True)):
        if kind != Kind.UNUSED and vocab.setdefault(token, number) != number:
            raise WeightsError(f"{vocabulary.metadata.where} has token {token!r} twice ({vocab[token]}, {number})")
    return vocab


def _post_processor(vocabulary: Vocabulary, *, add_bos: bool) -> dict[str, Any] | None:
    """Return what puts the first and the last token around a text, where the file asks for them."""
    begin = _wanted(vocabulary, "add_bos_token", "bos_token", default=add_bos)
    end = _wanted(vocabulary, "add_eos_token", "eos_token", default=False)
    if begin is None and end is None:
        return None

    def around(name: str, kind: int) -> list[dict[str, Any]]:
        def special(token: str | None) -> list[dict[str, Any]]:
            return [] if token is None else [{"SpecialToken": {"id": token, "type_id": kind}}]

        return [*special(begin), {"Sequence": {"id": name, "type_id": kind}}, *special(end)]

    used = {token: vocabulary.tokens.index(token) for token in (begin, end) if token is not None}
    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": [*around("A", 0), *around("B", 1)],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]} for token, number in used.items()},
    }


def _wanted(vocabulary: Vocabulary, key: str, name: str, *, default: bool) -> str | None:
    if not vocabulary.get(key, default):
        return None
    if name not in vocabulary.special_tokens:
        raise WeightsError(f"{vocabulary.metadata.where} asks for {key} and does not say which token that is")
    return vocabulary.special_tokens[name]
