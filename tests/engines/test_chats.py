"""A real chat model answers as transformers' ``generate`` does.

``scripts/checks/check_chat.py`` asks the same conversations for longer answers, of every engine, alone and together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.engine import TorchEngine
from scripts.checks.conversations import DATA, Answer, Conversation, Reference, conversations, differences
from tests.real_models import smollm2

# The first run downloads the model.
pytestmark = pytest.mark.timeout(900)

MAX_TOKENS = 8
ASKED = {one.name: one for one in conversations()}
SHORT = [name for name in ASKED if name != "long"]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(smollm2())


@pytest.fixture(scope="module")
def engine() -> Iterator[TorchEngine]:
    engine = TorchEngine(smollm2(), device="cpu", dtype="float32", slots=4, queue_size=len(ASKED))
    yield engine
    engine.close()


def shortened(conversation: Conversation) -> Conversation:
    limit = min(MAX_TOKENS, conversation.inputs["max_tokens"])
    return Conversation(conversation.name, conversation.inputs | {"max_tokens": limit}, conversation.turns)


def test_there_are_seventeen_and_each_says_why_it_is_there() -> None:
    entries = json.loads(DATA.read_text("utf-8"))
    assert len(entries) == len({entry["name"] for entry in entries}) == 17
    assert all(entry["why"] for entry in entries)


@pytest.mark.parametrize("name", ASKED)
def test_the_prompt_is_that_of_transformers(reference: Reference, name: str) -> None:
    expected = reference.prompt_ids(ASKED[name])
    for codec in (TokenizerCodec(smollm2()), TransformersCodec(reference.tokenizer, smollm2())):
        request = ASKED[name].request().request(codec)
        assert codec.encode(request.prompt, special_tokens=request.special_tokens) == expected
    assert name != "long" or len(expected) > 6000


def test_answers_are_those_of_generate(reference: Reference, engine: TorchEngine) -> None:
    asked = [shortened(ASKED[name]) for name in SHORT]
    running = [engine.submit(one.request().request(engine.codec)) for one in asked]
    for conversation, generation in zip(asked, running, strict=True):
        text = generation.text()
        got = Answer(tuple(generation.output_ids), text)
        assert differences(reference.answer(conversation), got) == []
