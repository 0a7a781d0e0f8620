"""A model folder read without transformers says what transformers says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, processors
from transformers import AutoTokenizer

from pilotlight.engines.text.model_config import read_facts
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.load import load
from pilotlight.errors import WeightsError
from tests.models import tiny_model

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TURNS = [{"role": "system", "content": "be <brief> & kind"}, {"role": "user", "content": " ünïcode 🙂"}]
TEXTS = ("a<new>b", "a <new> b", "<|im_end|>x <|im_end|> y", "<s>", "plain", " <tool> ", "x<other>", "<newer><new>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def codecs(folder: Path) -> tuple[TokenizerCodec, Any]:
    return TokenizerCodec(folder), load(folder, device="cpu").codec


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_tokens_and_text_are_those_of_transformers(codecs: tuple[TokenizerCodec, Any], text: str) -> None:
    ours, theirs = codecs
    ids = ours.encode(text)
    assert ids == theirs.encode(text)
    assert ours.encode(text, special_tokens=False) == theirs.encode(text, special_tokens=False)
    assert ours.decode([0, *ids]) == theirs.decode([0, *ids])


def test_the_longest_token_is_that_of_transformers(codecs: tuple[TokenizerCodec, Any]) -> None:
    assert codecs[0].longest_token_chars == codecs[1].longest_token_chars


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("place", ["key", "file"])
def test_a_chat_template_gives_what_transformers_gives(place: str, tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    config = model / "tokenizer_config.json"
    assert TokenizerCodec(model).apply_chat_template(TURNS) is None
    assert TokenizerCodec(model).answer_ends == ()
    change(config, bos_token="<|endoftext|>")
    if place == "key":
        change(config, chat_template=TEMPLATE)
    else:
        change(config, chat_template="not this one")
        (model / "chat_template.jinja").write_text(TEMPLATE)
    theirs = AutoTokenizer.from_pretrained(model)
    expected = theirs.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    for codec in (TokenizerCodec(model), TransformersCodec(theirs, model)):
        assert codec.apply_chat_template(TURNS) == expected
        ids = codec.encode(expected, special_tokens=False)
        assert ids == theirs.apply_chat_template(TURNS, add_generation_prompt=True, return_dict=False)
    assert expected.startswith("<|endoftext|><system>be <brief> & kind")


def test_a_template_that_is_not_valid_is_an_error_of_the_model(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    (model / "chat_template.jinja").write_text("{% for %}")
    for codec in (TokenizerCodec(model), TransformersCodec(AutoTokenizer.from_pretrained(model), model)):
        with pytest.raises(WeightsError, match=r"chat_template\.jinja is no valid chat template: line 1"):
            codec.apply_chat_template(TURNS)
        with pytest.raises(WeightsError, match=r"chat_template\.jinja is no valid chat template: line 1"):
            read_facts(model, codec)
        assert codec.encode("still") == codec.encode("still")


def token(text: str, **flags: bool) -> dict[str, Any]:
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    return {"content": text, **plain, **flags}


NEW = "added_tokens_decoder"
FOLDERS: dict[str, dict[str, dict[str, Any]]] = {
    "nothing": {},
    "numbered": {"tokenizer_config.json": {NEW: {"512": token("<|im_end|>"), "513": token("<new>", special=False)}}},
    "flags": {"tokenizer_config.json": {NEW: {"512": token("<new>", lstrip=True, rstrip=True)}}},
    "single word": {"tokenizer_config.json": {NEW: {"512": token("<new>", single_word=True, special=False)}}},
    "normalized": {"tokenizer_config.json": {NEW: {"512": token("<new>", normalized=True, special=False)}}},
    "a named one is special": {
        "tokenizer_config.json": {NEW: {"512": token("<new>", special=False)}, "pad_token": "<new>"}
    },
    "other flags of a known one": {"tokenizer_config.json": {NEW: {"0": token("<|endoftext|>", lstrip=True)}}},
    "out of order": {
        "tokenizer_config.json": {NEW: {"513": token("<new>"), "512": token("<|im_end|>"), "514": token("<other>")}}
    },
    "names only": {"tokenizer_config.json": {"bos_token": "<s>", "eos_token": "<|im_end|>", "unk_token": None}},
    "names of its own": {
        "tokenizer_config.json": {"image_token": "<new>", "extra_special_tokens": {"tool_token": "<tool>"}}
    },
    "further": {"tokenizer_config.json": {"additional_special_tokens": ["<new>", "<|im_end|>"]}},
    "further by the new name": {"tokenizer_config.json": {"extra_special_tokens": ["<tool>", "<new>"]}},
    "the map": {
        "special_tokens_map.json": {
            "bos_token": token("<s>", lstrip=True),
            "eos_token": "<|endoftext|>",
            "pad_token": "<new>",
        }
    },
    "the map and further": {
        "tokenizer_config.json": {"bos_token": "<other>"},
        "special_tokens_map.json": {"bos_token": "<s>", "additional_special_tokens": ["<|im_end|>", "<tool>"]},
    },
    "the map is not read beside numbered ones": {
        "tokenizer_config.json": {NEW: {"512": token("<new>")}, "bos_token": "<new>"},
        "special_tokens_map.json": {"bos_token": "<s>"},
        "added_tokens.json": {"<tool>": 513},
    },
    "older": {"added_tokens.json": {"<tool>": 513, "<new>": 512}, "special_tokens_map.json": {"pad_token": "<new>"}},
    "older, known": {"added_tokens.json": {"<tool>": 0}},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_tokens_beside_tokenizer_json_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    for file, content in FOLDERS[name].items():
        path = model / file
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.is_file() else {}), **content}))
    ours, theirs = TokenizerCodec(model), AutoTokenizer.from_pretrained(model)
    assert ours.names == theirs.special_tokens_map
    shown = {number: repr(one) for number, one in theirs.added_tokens_decoder.items()}
    for codec in (ours, TransformersCodec(theirs, model)):
        for text in TEXTS:
            ids = theirs.encode(text)
            assert codec.encode(text) == ids
            assert codec.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
        assert codec.special == {number: theirs.convert_ids_to_tokens(number) for number in codec.special}
        assert set(codec.special) == {number for number, text in shown.items() if "special=True" in text}


@pytest.mark.parametrize("config", [{NEW: {"x": token("<new>")}}, {NEW: {"512": 3}}, {"extra_special_tokens": [5]}])
def test_an_entry_that_is_no_token_is_an_error_of_the_model(config: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    change(model / "tokenizer_config.json", **config)
    with pytest.raises(WeightsError, match="of its tokenizer is"):
        TokenizerCodec(model)


def test_the_beginning_of_a_text_comes_once(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    path = model / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens([AddedToken("<s>", special=True, normalized=False)])
    number = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", number)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    tokenizer.save(str(path))
    change(model / "tokenizer_config.json", bos_token="<s>")
    for codec in (TokenizerCodec(model), TransformersCodec(AutoTokenizer.from_pretrained(model), model)):
        plain = codec.encode("one two three four five", special_tokens=False)
        assert len(plain) > 4
        assert codec.encode("one two three four five") == [number, *plain]
        assert codec.encode("<s>one two three four five") == [number, *plain]
        assert codec.encode("<s>one two three four five", special_tokens=False) == [number, *plain]
        assert codec.encode("<s>") == [number]


def test_a_tokenizer_that_is_missing_or_damaged_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        TokenizerCodec(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="cannot be read as a tokenizer"):
        TokenizerCodec(tmp_path)
