"""A model folder read without transformers says what transformers says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.engines.text.model_config import read_facts
from pilotlight.engines.text.tokenizer import TokenizerCodec
from pilotlight.engines.torch.load import load
from pilotlight.errors import InputError, WeightsError
from tests.models import ARCHITECTURES, tiny_model

TEMPLATE = """{{ bos_token }}{% for m in messages %}
    {%- if m['role'] == 'tool' %}{% continue %}{% endif %}
    {%- if m['role'] == 'user' and not m.content %}{{ raise_exception('say something') }}{% endif %}
    <{{ m['role'] }}>{{ m['content'] | trim }} {{ m | tojson }}
{% endfor %}
{% if tools %}tools{% endif %}
{% if add_generation_prompt %}<assistant>{% endif %}"""
TURNS = [
    {"role": "system", "content": "be <brief> & kind"},
    {"role": "user", "content": " ünïcode 🙂"},
    {"role": "tool", "content": "left out"},
]


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


@pytest.mark.parametrize("place", ["key", "list", "file"])
def test_a_chat_template_gives_what_transformers_gives(place: str, tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    config = model / "tokenizer_config.json"
    assert TokenizerCodec(model).apply_chat_template(TURNS) is None
    change(config, bos_token="<|endoftext|>")
    if place == "key":
        change(config, chat_template=TEMPLATE)
    elif place == "list":
        named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": TEMPLATE}]
        change(config, chat_template=named)
    else:
        change(config, chat_template="not this one")
        (model / "chat_template.jinja").write_text(TEMPLATE)
    ours = TokenizerCodec(model)
    chat = ours.apply_chat_template(TURNS)
    assert chat == load(model, device="cpu").codec.apply_chat_template(TURNS)
    assert chat is not None
    assert "<system>be <brief> & kind" in chat
    with pytest.raises(InputError, match="messages: do not suit this model's chat template: say something"):
        ours.apply_chat_template([TURNS[0], {"role": "user", "content": ""}])


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_facts_are_those_of_torch(arch: str, tmp_path: Path) -> None:
    model = tiny_model(arch, tmp_path)
    generation = model / "generation_config.json"
    for eos in (0, [0, 7]):
        change(generation, eos_token_id=eos)
        facts, loaded = read_facts(model, TokenizerCodec(model).token_id), load(model, device="cpu")
        assert (facts.context_tokens, facts.eos_ids) == (loaded.context_tokens, loaded.eos_ids)
        assert facts.vocab_size == loaded.model.config.get_text_config().vocab_size


def test_the_end_of_text_may_be_known_to_the_tokenizer_only(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    (model / "generation_config.json").unlink()
    config = json.loads((model / "config.json").read_text())
    del config["eos_token_id"]
    (model / "config.json").write_text(json.dumps({"text_config": config, "max_position_embeddings": 9999}))
    facts = read_facts(model, TokenizerCodec(model).token_id)
    assert (facts.context_tokens, facts.eos_ids, facts.vocab_size) == (512, (0,), 512)


def test_a_tokenizer_that_is_missing_or_damaged_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        TokenizerCodec(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="cannot be read as a tokenizer"):
        TokenizerCodec(tmp_path)
