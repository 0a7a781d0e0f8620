"""From a prediction's inputs to the request that an engine gets."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict

import pytest

from pilotlight.adapters.text_inputs import TextInputs
from pilotlight.engines.text.fake import CharacterCodec
from pilotlight.engines.text.types import Sampling
from pilotlight.errors import InputError
from tests.paths import ROOT

PLAIN, CHAT = CharacterCodec(), CharacterCodec(chat=True)
TURNS = json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}])


def test_a_prompt_without_a_chat_template_is_sent_as_it_is() -> None:
    request = TextInputs(prompt="def f(", seed=3).request(PLAIN)
    assert request.prompt == "def f("
    assert request.special_tokens
    assert request.sampling == Sampling(seed=3)


def test_a_chat_template_makes_the_prompt_a_turn() -> None:
    request = TextInputs(prompt="hi", system_prompt="be brief").request(CHAT)
    assert request.prompt == "system: be brief\nuser: hi\nassistant:"
    assert not request.special_tokens


def test_messages_are_a_conversation() -> None:
    turns = json.dumps([*json.loads(TURNS), {"role": "user", "content": "no"}])
    request = TextInputs(messages=turns, system_prompt="be brief").request(CHAT)
    assert request.prompt == "system: be brief\nuser: hi\nassistant: yes?\nuser: no\nassistant:"
    assert (request.prompt_input, request.special_tokens, request.continues) == ("messages", False, False)


def test_a_last_message_of_the_assistant_is_continued() -> None:
    request = TextInputs(messages=TURNS, system_prompt="be brief").request(CHAT)
    assert request.prompt == "system: be brief\nuser: hi\nassistant: yes?"
    assert (request.special_tokens, request.continues) == (False, True)


def test_an_output_continues_a_text_but_answers_a_turn() -> None:
    assert TextInputs(prompt="x").request(PLAIN).continues
    assert TextInputs(prompt="x", prompt_template="<{prompt}>").request(CHAT).continues
    assert not TextInputs(prompt="x").request(CHAT).continues


class Refusing(CharacterCodec):
    """A model whose template accepts nothing."""

    def apply_chat_template(
        self, messages: object, *, continue_last: bool = False, input_name: str = "messages"
    ) -> str:
        raise InputError(input_name, "do not suit this model's chat template: no")


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ({"prompt": "x"}, "prompt"),
        ({"prompt": "x", "system_prompt": "s"}, "system_prompt"),
        ({"messages": TURNS}, "messages"),
        ({"messages": TURNS, "system_prompt": "s"}, "messages"),
    ],
)
def test_a_template_that_refuses_names_the_input(inputs: dict[str, str], name: str) -> None:
    with pytest.raises(InputError) as caught:
        TextInputs(**inputs).request(Refusing())  # type: ignore[arg-type]
    assert caught.value.name == name


def test_a_content_may_be_a_list_of_texts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = TextInputs(messages=json.dumps([{"role": "user", "content": parts}])).request(CHAT)
    assert request.prompt == "user: ab\nassistant:"


def test_a_template_is_filled_in_one_pass() -> None:
    inputs = TextInputs(
        prompt="{system_prompt}{prompt}{0}", system_prompt="S", prompt_template="<{system_prompt}|{prompt}>"
    )
    assert inputs.request(CHAT).prompt == "<S|{system_prompt}{prompt}{0}>"


def test_zero_is_a_seed_and_no_seed_is_drawn() -> None:
    assert TextInputs(prompt="x", seed=0).request(PLAIN).sampling.seed == 0
    drawn = {TextInputs(prompt="x").request(PLAIN).sampling.seed for _ in range(20)}
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("", ()),
        ("\n\n,,def ", ("\n\n", "def ")),
        ('[",", "a,b", ""]', (",", "a,b")),
        ('["[x]"]', ("[x]",)),
        ("[]", ()),
        ("[INST],[", ("[INST]", "[")),
        ("[1,2]", ("[1", "2]")),
        ("[" * 999, ("[" * 999,)),
    ],
)
def test_stop_sequences_are_a_json_list_or_split_at_commas_and_empty_ones_dropped(
    text: str, stops: tuple[str, ...]
) -> None:
    assert TextInputs(prompt="x", stop_sequences=text).request(PLAIN).sampling.stop == stops


def test_the_older_name_of_max_tokens_wins() -> None:
    assert TextInputs(prompt="x", max_tokens=10, max_new_tokens=3).request(PLAIN).sampling.max_tokens == 3


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"prompt": "x", "messages": TURNS}, "messages: is given together with prompt"),
        ({"messages": TURNS, "prompt_template": "{prompt}"}, "prompt_template: is given together with messages"),
        ({"messages": "[1"}, "messages: is not JSON"),
        ({"messages": "[]"}, "messages: is not a list with at least one"),
        ({"messages": '{"role": "user"}'}, "messages: is not a list"),
        ({"messages": '[{"role": "user"}]'}, "messages: item 0 is not an object of role and content"),
        ({"messages": '[{"role": "user", "content": 1}]'}, "messages: item 0"),
        ({"messages": '[{"role": "user", "content": []}]'}, "messages: item 0"),
        ({"messages": '[{"role": "user", "content": [{"type": "image"}]}]'}, "messages: item 0"),
        ({"prompt": "x", "stop_sequences": "\ud800"}, "stop_sequences: hold half a surrogate pair"),
        ({"messages": '[{"role": "boss", "content": "x"}]'}, "messages: item 0 has the role 'boss'"),
        ({"prompt": "x", "prompt_template": "no place"}, "prompt_template: lacks {prompt}"),
        (
            {"prompt": "x", "prompt_template": "{prompt}", "system_prompt": "s"},
            "prompt_template: lacks {system_prompt}",
        ),
        ({"prompt": "x", "min_tokens": 9, "max_tokens": 3}, "min_tokens: is 9, more than max_tokens, which is 3"),
    ],
)
def test_contradictions_name_the_input(inputs: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextInputs(**inputs).request(CHAT)  # type: ignore[arg-type]


@pytest.mark.parametrize("inputs", [{"messages": TURNS}, {"prompt": "x", "system_prompt": "s"}])
def test_a_model_without_a_chat_template_refuses_chats(inputs: dict[str, str]) -> None:
    with pytest.raises(InputError, match="needs a chat template"):
        TextInputs(**inputs).request(PLAIN)  # type: ignore[arg-type]


def test_defaults_are_the_same_where_callers_read_them_and_where_they_take_effect() -> None:
    tree = ast.parse((ROOT / "predict.py").read_text())
    (predict,) = (node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef))
    written = {
        argument.arg: ast.literal_eval(next(k.value for k in default.keywords if k.arg == "default"))
        for argument, default in zip(predict.args.args[1:], predict.args.defaults, strict=True)
        if isinstance(default, ast.Call)
    }
    assert written == asdict(TextInputs())
    sampling = asdict(Sampling())
    of_the_model = ("seed", "repetition_penalty")  # ``None`` in the inputs: decided when the request is made
    assert {name: written[name] for name in sampling if name in written and name not in of_the_model} == {
        name: value for name, value in sampling.items() if name in written and name not in of_the_model
    }


def test_descriptions_are_single_literals_without_escapes() -> None:
    """Cog's build tool takes the source between the first and the last quote as the text."""
    source = (ROOT / "predict.py").read_text()
    descriptions = re.findall(r"description=(.*?),\s+(?:default|ge|le)=", source, re.DOTALL)
    assert len(descriptions) == len(asdict(TextInputs()))
    for literal in map(str.strip, descriptions):
        assert literal[1:-1] == ast.literal_eval(literal)
