r"""How a text is split before byte-level BPE, by the names that llama.cpp gives these ways (``tokenizer.ggml.pre``).

A GGUF file holds the name only. What each means here is what the models' own ``tokenizer.json`` says, which in places
is more than llama.cpp does: qwen2 normalises to NFC. Merges were learned from texts split in this way, so another way
gives other tokens: transformers 5.23 reads smollm without its splitting of digits, and ``"\n\n7"`` becomes
``\n``, ``\n``, ``7`` where the model has one token for ``\n\n``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import WeightsError


@dataclass(frozen=True, slots=True)
class ByteLevelSteps:
    """Parts of a ``tokenizer.json``.

    Attributes:
        ignore_merges: whether a piece that is itself a token is taken whole.
        add_bos: whether a text begins with the first token where the file does not say.
    """

    pre_tokenizer: dict[str, Any]
    normalizer: dict[str, Any] | None = None
    ignore_merges: bool = False
    add_bos: bool = False


def byte_level_steps(name: str, where: str) -> ByteLevelSteps:
    """Return what ``name`` stands for; the empty name is that of files made before there were names.

    Raises:
        WeightsError: it is not known; the message lists those that are.
    """
    name = name or "default"
    if name not in STEPS:
        raise WeightsError(
            f"{where} has a tokenizer that splits texts by the way {name!r} (tokenizer.ggml.pre), which pilotlight "
            f"does not know. It knows: {', '.join(sorted(STEPS))}. Use the original model folder (safetensors) instead"
        )
    return STEPS[name]


def _split(*patterns: str) -> dict[str, Any]:
    """Return a pre-tokenizer that splits by each pattern in turn, keeping what lies between, then maps bytes."""
    splits = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]
    return {"type": "Sequence", "pretokenizers": [*splits, _bytes(use_regex=False)]}


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _cased(contraction: str, digits: str) -> str:
    """Return the pattern of o200k and Tekken, which splits a word where a small letter meets a capital one."""
    start = r"[^\r\n\p{L}\p{N}]?"
    return (
        f"{start}[{UPPER}]*[{LOWER}]+{contraction}|{start}[{UPPER}]+[{LOWER}]*{contraction}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"
    )


NFC = {"type": "NFC"}
PLAIN = _bytes(use_regex=True)
DIGITS = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, PLAIN]}
LLAMA3 = _split(rf"{CONTRACTION}|{WORD}|\p{{N}}{{1,3}}|{MARKS}|{SPACES}")
QWEN2 = _split(rf"{CONTRACTION}|{WORD}|\p{{N}}|{MARKS}|{SPACES}")
QWEN35 = _split(
    rf"{CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
)
GPT4O = _split(_cased(f"{CONTRACTION}?", r"\p{N}{1,3}"))
TEKKEN = _split(_cased("", r"\p{N}"))
DEEPSEEK_CODER = _split("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}")
DEFAULT = _split(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")

_LLAMA3 = ByteLevelSteps(LLAMA3, ignore_merges=True, add_bos=True)
STEPS: Mapping[str, ByteLevelSteps] = {
    "default": ByteLevelSteps(DEFAULT),
    **dict.fromkeys(("gpt-2", "phi-2"), ByteLevelSteps(PLAIN)),
    **dict.fromkeys(("mpt", "olmo"), ByteLevelSteps(PLAIN, NFC)),
    **dict.fromkeys(("smollm", "starcoder", "refact", "codeshell"), ByteLevelSteps(DIGITS)),
    "command-r": ByteLevelSteps(DIGITS, NFC),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "lfm2"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe"), ByteLevelSteps(LLAMA3)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), ByteLevelSteps(QWEN2, NFC)),
    "stablelm2": ByteLevelSteps(QWEN2),
    "qwen35": ByteLevelSteps(QWEN35, NFC),
    **dict.fromkeys(("gpt-4o", "llama4"), ByteLevelSteps(GPT4O)),
    "tekken": ByteLevelSteps(TEKKEN, ignore_merges=True, add_bos=True),
    "deepseek-coder": ByteLevelSteps(DEEPSEEK_CODER),
}
