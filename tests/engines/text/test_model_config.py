"""The limits and the ends of a model, as its files say and as transformers reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.text.model_config import limit_context, read_eos_ids, read_facts
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.torch.load import load
from tests.architectures import tiny_architecture
from tests.models import ARCHITECTURES, tiny_model

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{{ eos_token }}{% endfor %}"


def change(path: Path, **values: object) -> None:
    known = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in known.items() if value is not None}))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_facts_are_those_of_torch(arch: str, tmp_path: Path) -> None:
    model = tiny_model(arch, tmp_path)
    generation = model / "generation_config.json"
    for eos in (0, [0, 7]):
        change(generation, eos_token_id=eos)
        facts, loaded = read_facts(model, TokenizerCodec(model)), load(model, device="cpu")
        assert (facts.context_tokens, facts.eos_ids) == (loaded.context_tokens, loaded.eos_ids)
        assert facts.vocab_size == loaded.model.config.get_text_config().vocab_size


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 2048}, int(1e30), 2048),
        ({"n_positions": 1024, "n_ctx": 512}, None, 512),
        ({"seq_length": 2048}, 4096, 2048),
        ({"context_length": 1024}, 1e30, 1024),
        ({"max_sequence_length": 4096, "model_max_length": 2048}, None, 2048),
        ({"max_seq_len": 0, "max_position_embeddings": None}, 300.0, 300),
        ({"max_position_embeddings": -1}, None, 8192),  # XLNet: no limit
        ({}, "many", 8192),
    ],
)
def test_the_context_is_the_smallest_limit_by_any_name(
    config: dict[str, object], tokenizer: object, expected: int
) -> None:
    assert limit_context(config, tokenizer) == expected


@pytest.mark.parametrize(
    ("model_type", "settings"), [("rwkv", {"context_length": 100}), ("mpt", {"max_seq_len": 90}), ("bloom", {})]
)
def test_a_context_by_another_name_is_that_of_torch(model_type: str, settings: dict[str, int], tmp_path: Path) -> None:
    model = tiny_architecture(model_type, tmp_path, **settings)
    change(model / "tokenizer_config.json", model_max_length=None)
    if not settings:
        change(model / "config.json", seq_length=80)
    facts = read_facts(model, TokenizerCodec(model))
    assert facts.context_tokens == load(model, device="cpu").context_tokens == min(settings.values(), default=80)


def test_the_end_of_text_may_be_known_to_the_tokenizer_only(tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path)
    (model / "generation_config.json").unlink()
    config = json.loads((model / "config.json").read_text())
    del config["eos_token_id"]
    (model / "config.json").write_text(json.dumps({"text_config": config, "max_position_embeddings": 9999}))
    facts = read_facts(model, TokenizerCodec(model))
    assert (facts.context_tokens, facts.eos_ids, facts.vocab_size) == (512, (0,), 512)


@pytest.mark.parametrize(
    ("generation", "config", "tokenizer", "expected"),
    [
        ({"eos_token_id": 7}, {"eos_token_id": 7}, {}, (7, 0)),
        ({"eos_token_id": [7, 8]}, {"eos_token_id": None}, {"eos_token": None}, (7, 8)),
        # A configuration's own: only a special token, unless the generation configuration says nothing.
        ({"eos_token_id": 7}, {"eos_token_id": [0, 9]}, {"eos_token": None}, (7, 0)),
        ({}, {"eos_token_id": [0, 9]}, {"eos_token": None}, (0, 9)),
        ({}, {"eos_token_id": None, "text_config": {"eos_token_id": 9}}, {}, (0, 9)),
        ({}, {"eos_token_id": None}, {"eos_token": None}, ()),
        # A token that the model has no score for cannot come.
        ({"eos_token_id": [7, 512, -1]}, {}, {}, (7, 0)),
        # What a template closes an answer with, where it is known or nothing.
        ({"eos_token_id": 0}, {}, {"chat_template": TURNS}, (0,)),
        ({"eos_token_id": 7}, {}, {"chat_template": "{{ messages[0].content }}"}, (7, 0)),
        ({"eos_token_id": 7}, {}, {"chat_template": "{{ raise_exception('no') }}"}, (7, 0)),
    ],
)
def test_a_text_ends_at_every_end_that_a_file_names(
    generation: dict[str, Any],
    config: dict[str, Any],
    tokenizer: dict[str, Any],
    expected: tuple[int, ...],
    tmp_path: Path,
) -> None:
    model = tiny_model("llama", tmp_path)
    change(model / "generation_config.json", **{"eos_token_id": None, **generation})
    change(model / "config.json", **config)
    change(model / "tokenizer_config.json", **tokenizer)
    assert read_eos_ids(model, TokenizerCodec(model), 512) == expected


def test_the_token_that_closes_an_answer_ends_a_text(tmp_path: Path) -> None:
    """Checkpoints of chat models whose files name only the end of a document as an end would go on for ever."""
    model = tiny_model("llama", tmp_path)
    change(model / "generation_config.json", eos_token_id=7)
    change(model / "config.json", eos_token_id=7)
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|endoftext|>{% endfor %}"
    change(model / "tokenizer_config.json", eos_token=None, chat_template=template)
    assert read_eos_ids(model, TokenizerCodec(model), 512) == (7, 0)
    assert load(model, device="cpu").eos_ids == (7, 0)
