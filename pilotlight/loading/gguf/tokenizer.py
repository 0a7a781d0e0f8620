"""``tokenizer.json`` and ``tokenizer_config.json`` from the vocabulary of a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.merges import SPACE, sentencepiece_merges
from pilotlight.loading.gguf.pretokenizers import byte_level_steps
from pilotlight.loading.gguf.vocabulary import Kind, Vocabulary

NO_LIMIT = 10**30  # what transformers writes for a tokenizer without a length limit of its own


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return ``tokenizer.json`` (https://huggingface.co/docs/tokenizers).

    Raises:
        WeightsError: the tokenizer is of a kind that is not known.
    """
    model = vocabulary.metadata.text("tokenizer.ggml.model")
    if model not in _KINDS:
        raise WeightsError(
            f"{vocabulary.metadata.where} has a tokenizer of the kind {model!r} (tokenizer.ggml.model), which "
            f"pilotlight cannot convert. It can convert: {', '.join(sorted(_KINDS))}"
        )
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(vocabulary),
        **_KINDS[model](vocabulary),
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
    # Phi-3's own tokenizer drops white space after its control tokens; a GGUF file does not say so.
    strips = vocabulary.metadata.architecture == "phi3" and vocabulary.get("model") == "llama"
    return [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": strips and kind == Kind.CONTROL and token not in ("<s>", "<|endoftext|>"),
            "normalized": False,
            "special": kind != Kind.USER_DEFINED,
        }
        for number, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.kinds, strict=True))
        if kind in (Kind.CONTROL, Kind.USER_DEFINED, Kind.UNKNOWN) and not is_spaces(token)
    ]


def _byte_level(vocabulary: Vocabulary) -> dict[str, Any]:
    """Byte-level BPE, as GPT-2 introduced it."""
    steps = byte_level_steps(vocabulary.get("pre", ""), vocabulary.metadata.where)
    merges = vocabulary.get("merges")
    if not isinstance(merges, list) or not merges:
        raise WeightsError(f"{vocabulary.metadata.where} has no merges (tokenizer.ggml.merges)")
    pairs = [merge.split(" ") for merge in merges]
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


def _sentencepiece(vocabulary: Vocabulary) -> dict[str, Any]:
    """BPE over characters with a token for each byte, as SentencePiece does it."""
    vocab = _vocab(vocabulary, [SPACE * len(token) if is_spaces(token) else token for token in vocabulary.tokens])
    prefix = bool(vocabulary.get("add_space_prefix", True))
    # SentencePiece and llama.cpp put a space before a text, and before what follows a control token.
    before = [{"type": "Prepend", "prepend": SPACE}] if prefix else []
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    unknown = vocabulary.special_tokens.get("unk_token", vocabulary.tokens[0])
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*before, spaces]},
        "pre_tokenizer": None,
        "post_processor": _post_processor(vocabulary, add_bos=True),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *strip,
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": sentencepiece_merges(vocabulary, vocab),
        },
    }


def is_spaces(token: str) -> bool:
    """Whether ``token`` is spaces only: Gemma's converter writes such tokens so, every other one as U+2581."""
    return bool(token) and not token.strip(" ")


def _vocab(vocabulary: Vocabulary, spelled: Sequence[str] | None = None) -> dict[str, int]:
    """Return the ids by token, without the rows that the converter filled up."""
    vocab: dict[str, int] = {}
    for number, (token, kind) in enumerate(zip(spelled or vocabulary.tokens, vocabulary.kinds, strict=True)):
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


_KINDS: Mapping[str, Callable[[Vocabulary], dict[str, Any]]] = {"gpt2": _byte_level, "llama": _sentencepiece}
