"""Tokenizers: the ways of splitting, SentencePiece's merges, first and last tokens, special ones and ends of turns."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.metadata import Metadata
from pilotlight.loading.gguf.pretokenizers import STEPS
from pilotlight.loading.gguf.tokenizer import tokenizer_config, tokenizer_json
from pilotlight.loading.gguf.vocabulary import Vocabulary
from tests.loading.gguf.files import byte_words

TEXTS = [
    "Hello world",
    "  two spaces, 12345 and\n\n7 lines\t",
    "naïve café 日本語 🤖 ½",
    "I'll DON'T it's",
    "for i in range(10):\n    print(i)\n",
    "",
]


def vocabulary(architecture: str = "llama", **entries: Any) -> Vocabulary:
    named = {f"tokenizer.ggml.{key}": value for key, value in entries.items() if key != "chat_template"}
    if "chat_template" in entries:
        named["tokenizer.chat_template"] = entries["chat_template"]
    return Vocabulary(Metadata({"general.architecture": architecture, **named}, "a.gguf"))


def byte_level(pre: str, **entries: Any) -> Vocabulary:
    words = byte_words()
    return vocabulary(
        model="gpt2",
        pre=pre,
        tokens=list(words.tokens),
        token_type=list(words.kinds),
        merges=list(words.merges),
        **entries,
    )


def built(words: Vocabulary) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer_json(words)))


@pytest.mark.parametrize("pre", sorted(STEPS))
def test_every_way_of_splitting_loses_nothing(pre: str) -> None:
    tokenizer = built(byte_level(pre, bos_token_id=0))
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


@pytest.mark.parametrize(
    ("pre", "text", "pieces"),
    [
        ("gpt-2", "It's 1234\n\n5", ["It", "'s", "Ġ1234", "Ċ", "Ċ", "5"]),
        ("smollm", "It's 1234\n\n5", ["It", "'s", "Ġ", "1", "2", "3", "4", "ĊĊ", "5"]),
        ("llama-bpe", "It'S 1234\n\n5", ["It", "'S", "Ġ", "123", "4", "ĊĊ", "5"]),
        ("qwen2", "It'S 1234\n\n5", ["It", "'S", "Ġ", "1", "2", "3", "4", "ĊĊ", "5"]),
        ("gpt-4o", "camelCase's 1234", ["camel", "Case's", "Ġ", "123", "4"]),
        ("tekken", "camelCase 12", ["camel", "Case", "Ġ", "1", "2"]),
        ("deepseek-coder", "a\n12 b", ["a", "Ċ", "1", "2", "Ġb"]),
        ("default", "a, b 1234", ["a", ",", "Ġb", "Ġ", "123", "4"]),
    ],
)
def test_splitting(pre: str, text: str, pieces: list[str]) -> None:
    splitter = built(byte_level(pre, bos_token_id=0)).pre_tokenizer
    assert [piece for piece, _ in splitter.pre_tokenize_str(text)] == pieces


def test_an_unknown_way_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        WeightsError, match=r"by the way 'kimi-k2' .* It knows: codeshell, command-r, dbrx, deepseek-coder"
    ):
        tokenizer_json(byte_level("kimi-k2"))


def test_qwen2_normalises_and_gpt2_does_not() -> None:
    decomposed = "e\u0301"
    assert built(byte_level("qwen2")).encode(decomposed).ids == built(byte_level("qwen2")).encode("é").ids
    assert built(byte_level("gpt-2")).encode(decomposed).ids != built(byte_level("gpt-2")).encode("é").ids


@pytest.mark.parametrize(
    ("pre", "entries", "first", "last"),
    [
        ("gpt-2", {}, [], []),
        ("gpt-2", {"add_bos_token": True}, [0], []),
        ("gpt-2", {"add_bos_token": True, "add_eos_token": True}, [0], [1]),
        ("llama-bpe", {}, [0], []),
        ("llama-bpe", {"add_bos_token": False}, [], []),
    ],
)
def test_first_and_last_tokens(pre: str, entries: dict[str, Any], first: list[int], last: list[int]) -> None:
    tokenizer = built(byte_level(pre, bos_token_id=0, eos_token_id=1, **entries))
    plain = tokenizer.encode("one two", add_special_tokens=False).ids
    assert tokenizer.encode("one two").ids == [*first, *plain, *last]


def test_a_first_token_that_is_not_stated_is_refused() -> None:
    with pytest.raises(WeightsError, match="asks for add_bos_token and does not say which token that is"):
        tokenizer_json(byte_level("gpt-2", add_bos_token=True))


def pieces() -> dict[str, Any]:
    """Return a SentencePiece vocabulary: three special tokens, 256 bytes, characters, and merges by rank."""
    merged = ["he", "ll", "hell", "hello", "▁w", "or", "▁wor", "ld", "▁world", "lo", "▁▁", "▁▁▁", "aa", "aaa"]
    characters = [*"helowrdab,▁", "é"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *merged, *characters, "<|user|>"]
    kinds = [2, 3, 3, *[6] * 256, *[1] * (len(merged) + len(characters)), 4]
    scores = [0.0] * 259 + [-float(rank) for rank in range(len(merged))] + [-1e6] * len(characters) + [0.0]
    return {"model": "llama", "tokens": tokens, "token_type": kinds, "scores": scores, "bos_token_id": 1} | {
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }


def reference(text: str, entries: dict[str, Any]) -> list[int]:
    """SentencePiece's rule: join the neighbours that give the token of the highest score, the leftmost first."""
    scores = dict(zip(entries["tokens"], entries["scores"], strict=True))
    parts = list(text.replace(" ", "▁"))
    while True:
        pairs = [(scores.get(a + b, -1e9), -i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
        score, at = max(pairs, default=(-1e9, 0))
        if score == -1e9:
            break
        parts[-at : -at + 2] = [parts[-at] + parts[-at + 1]]
    found: list[int] = []
    for part in parts:
        whole = part in scores
        names = [part] if whole else [f"<0x{byte:02X}>" for byte in part.encode()]
        found += [entries["tokens"].index(name) for name in names]
    return found


@pytest.mark.parametrize("text", ["hello world", "hellohello", "  world, é ß", "aa aaa", "lllo", "日"])
def test_sentencepiece(text: str) -> None:
    entries = pieces()
    tokenizer = built(vocabulary(**entries))
    ids = tokenizer.encode(text).ids
    assert ids == [1, *reference(f" {text}", entries)]
    assert tokenizer.decode(ids) == text


def test_sentencepiece_puts_a_space_after_a_control_token_and_none_where_the_file_says_so() -> None:
    entries = pieces()
    with_prefix, without = built(vocabulary(**entries)), built(vocabulary(**entries, add_space_prefix=False))
    assert with_prefix.encode("</s>hello").ids == [1, 2, *reference(" hello", entries)]
    assert without.encode("</s>hello").ids == [1, 2, *reference("hello", entries)]
    assert without.decode(without.encode(" hello").ids) == " hello"


def test_gemma_orders_merges_by_position_and_spells_spaces() -> None:
    entries = pieces()
    entries["tokens"] = [token.replace("▁▁▁", "   ").replace("▁▁", "  ") for token in entries["tokens"]]
    entries["scores"] = [0.0] * len(entries["tokens"])
    tokenizer = built(vocabulary("gemma3", **entries, add_space_prefix=False))
    assert tokenizer.encode("hello   world").tokens == ["<s>", "hello", "▁▁", "▁world"]


def test_tokens_of_users_are_found_but_kept_in_the_text() -> None:
    tokenizer = built(vocabulary(**pieces()))
    number = len(pieces()["tokens"]) - 1
    assert number in tokenizer.encode("hello<|user|>").ids
    assert "<|user|>" in tokenizer.decode(tokenizer.encode("hello<|user|>").ids)


def test_turns_end_at_tokens_that_the_template_writes() -> None:
    entries = {
        "tokens": ["a", "<eos>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>"],
        "token_type": [1, 3, 3, 3, 3],
        "eos_token_id": 1,
        "eot_token_id": 4,
        "chat_template": "{{ messages }}<|im_end|>",
    }
    assert vocabulary(**entries).end_ids == (1, 4, 2)


def test_an_id_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"eos_token_id = 9, and its vocabulary has 1 tokens"):
        _ = vocabulary(tokens=["a"], eos_token_id=9).special_ids


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2"])
def test_transformers_reads_the_same_tokenizer(architecture: str, tmp_path: Path) -> None:
    words = vocabulary(architecture, **pieces()) if architecture != "qwen2" else byte_level("qwen2", eos_token_id=0)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json(words)))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(words)))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), built(words)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == ours.encode(text).ids
    assert theirs.eos_token == tokenizer_config(words)["eos_token"]
