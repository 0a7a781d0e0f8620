"""OpenAI's parameters as the inputs of predictors that declare this or that."""

import pytest

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.openai import errors as openai_errors
from pilotlight.gateway.api.openai.inputs import chat_inputs, completion_inputs
from pilotlight.gateway.api.openai.schemas import CHAT, COMPLETION, ChatBody, CompletionBody, Said
from pilotlight.gateway.prediction import Status
from pilotlight.runtime.predictor_schema import PredictorSchema
from tests.gateway.made import made_record, made_version

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
PLAIN = {"prompt": TEXT}
RICH = {
    **PLAIN,
    **dict.fromkeys(("messages", "system_prompt", "stop_sequences"), TEXT),
    **dict.fromkeys(("max_tokens", "min_tokens", "temperature", "top_p", "top_k", "seed"), NUMBER),
}
HELLO = [{"role": "user", "content": "hello"}]


def fields(declared):
    return PredictorSchema.of({"components": {"schemas": {"Input": {"properties": declared}}}}).inputs


def complete(declared, **body):
    return completions(declared, **body)[0]


def completions(declared, **body):
    return completion_inputs(CompletionBody.model_validate({"prompt": "a", **body}), fields(declared))


def converse(declared, messages=HELLO, **body):
    return chat_inputs(ChatBody.model_validate({"messages": messages, **body}), fields(declared))[0]


def test_parameters_become_the_inputs_of_their_names():
    found = complete(RICH, max_tokens=3, temperature=0, top_p=1, seed=0, top_k=4, stop=["x", "y"], user="me", n=1)
    assert found.inputs == {
        "prompt": "a",
        "max_tokens": 3,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "top_k": 4,
        "stop_sequences": "x,y",
    }
    assert found.params["stop_sequences"] == "stop"


def test_other_names_for_the_same_are_found():
    assert complete({**PLAIN, "max_new_tokens": NUMBER}, max_tokens=3).inputs["max_new_tokens"] == 3
    assert complete({**PLAIN, "stop": {"type": "array"}}, stop="x").inputs["stop"] == ["x"]
    for ask in (complete, converse):
        assert ask(RICH, max_completion_tokens=3, max_tokens=9).inputs["max_tokens"] == 3
        assert ask({**RICH, "max_new_tokens": NUMBER}, max_completion_tokens=3).inputs["max_tokens"] == 3


def test_what_is_null_or_what_openai_does_anyway_asks_for_nothing():
    neutral = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "seed": None, "stop": []}
    more = {"echo": False, "logit_bias": {}, "best_of": 1, "logprobs": None, "tools": [], "tool_choice": "auto"}
    assert complete(PLAIN, response_format={"type": "text"}, **neutral, **more).inputs == {"prompt": "a"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": 0}, "temperature"),
        ({"max_tokens": 3}, "max_tokens"),
        ({"logprobs": 0}, "logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"echo": True}, "echo"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_what_would_change_the_text_and_cannot_be_done_is_refused_by_name(body, param):
    with pytest.raises(ApiError, match=f"^{param}: ") as caught:
        complete(PLAIN, **body)
    assert (caught.value.status, caught.value.body["param"]) == (400, param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"ignore_eos": True}, "ignore_eos"),
        ({"ignore_eos": True, "max_tokens": 3, "stop": "x"}, "ignore_eos"),
        ({"stop": "x", "stop_sequences": "y"}, "stop_sequences"),
    ],
)
def test_contradictions_are_refused_by_name(body, param):
    with pytest.raises(ApiError, match=f"^{param}: "):
        complete(RICH, **body)


def test_each_prompt_has_as_many_choices_as_are_asked_for():
    found = completions(RICH, prompt=["a", "b"], n=2, seed=7, best_of=2)
    told = [(one.inputs["prompt"], one.inputs["seed"]) for one in found]
    assert told == [("a", 7), ("a", 8), ("b", 7), ("b", 8)]
    assert [one.inputs for one in completions(PLAIN, n=2)] == [{"prompt": "a"}] * 2
    bounded = {**PLAIN, "seed": {"type": "integer", "maximum": 8}}
    with pytest.raises(ApiError, match=r"^seed: .* beyond 8"):
        completions(bounded, n=3, seed=7)


@pytest.mark.parametrize(
    ("declared", "body", "expected"),
    [
        ({"top_k": {**NUMBER, "minimum": 0}}, {"top_k": -1}, {"top_k": 0}),
        ({"top_k": {**NUMBER, "minimum": 0}}, {"top_k": 5}, {"top_k": 5}),
        ({"top_k": NUMBER}, {"top_k": -1}, {"top_k": -1}),
        ({}, {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "skip_special_tokens": True}, {}),
    ],
)
def test_a_setting_is_off_in_the_models_own_words(declared, body, expected):
    assert complete({**PLAIN, **declared}, **body).inputs == {"prompt": "a", **expected}


def test_stop_sequences_with_commas():
    """As a JSON list where the model's description says that it takes one; else the gateway cuts the text."""
    takes_json = {**PLAIN, "stop_sequences": {**TEXT, "description": "Comma-separated, or a JSON list"}}
    for stops, told in ((["a,b", "c"], '["a,b", "c"]'), (["[x]"], '["[x]"]'), (["a", "b"], "a,b")):
        found = complete(takes_json, stop=stops)
        assert (found.inputs["stop_sequences"], found.cut) == (told, ())
    found = complete(RICH, stop=["a,b", "c", ""])
    assert (found.inputs["stop_sequences"], found.cut) == ("c", ("a,b",))
    found = complete({**PLAIN, "stop": {"type": "array"}}, stop=["a,b"])
    assert (found.inputs["stop"], found.cut) == (["a,b"], ())


def test_ignoring_the_end_is_as_many_tokens_as_are_allowed():
    assert complete(RICH, ignore_eos=True, max_tokens=7).inputs["min_tokens"] == 7
    assert complete({**PLAIN, "ignore_eos": {}}, ignore_eos=True).inputs["ignore_eos"] is True
    assert "min_tokens" not in complete(RICH, ignore_eos=False, max_tokens=7).inputs


def test_a_conversation_is_told_as_the_predictor_takes_it():
    parts = [{"type": "text", "text": "hel", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "lö"}]
    echoed = {"role": "assistant", "content": "yes", "tool_calls": None, "refusal": None, "annotations": []}
    turns = [{"role": "developer", "content": "be kind"}, echoed, {"role": "user", "content": parts, "name": "Bob"}]
    expected = [
        {"role": "system", "content": "be kind"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "hellö"},
    ]
    assert converse({"messages": {"type": "array"}}, turns).inputs == {"messages": expected}
    told = converse(RICH, turns).inputs["messages"]
    assert told.startswith('[{"role": "system", "content": "be kind"}')
    assert "hellö" in told


def test_one_question_is_a_prompt_where_there_are_no_messages():
    assert converse(PLAIN).inputs == {"prompt": "hello"}
    system = {"role": "system", "content": "be kind"}
    found = converse({**PLAIN, "system_prompt": TEXT}, [system, *HELLO])
    assert found.inputs == {"prompt": "hello", "system_prompt": "be kind"}
    assert found.params == {"prompt": "messages", "system_prompt": "messages"}


@pytest.mark.parametrize(
    ("declared", "messages"),
    [
        (PLAIN, [{"role": "system", "content": "be kind"}, *HELLO]),
        (PLAIN, [*HELLO, {"role": "assistant", "content": "yes"}, *HELLO]),
        (PLAIN, [{"role": "assistant", "content": "yes"}]),
        (RICH, [{"role": "user", "content": "hello", "tool_calls": [{"id": "1"}]}]),
        (RICH, [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}]),
        (RICH, [{"role": "user", "content": [{"type": "text"}]}]),
        (RICH, [{"role": "assistant", "content": None}]),
    ],
)
def test_a_conversation_that_cannot_be_told_is_refused(declared, messages):
    with pytest.raises(ApiError, match=r"^messages: "):
        converse(declared, messages)


def test_a_model_of_conversations_alone_completes_no_prompt():
    with pytest.raises(ApiError, match="use /openai/v1/chat/completions"):
        complete({"messages": TEXT})


def test_usage_and_the_reason_of_the_end_are_what_the_predictor_reports_or_nothing():
    counted = {"input_token_count": 3, "output_token_count": 2, "finish_reason": "length"}
    record = made_record(status=Status.SUCCEEDED, metrics=counted)
    shown = COMPLETION.answer(made_version(), [Said(record, "text", cut=False)])
    assert shown["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert shown["choices"][0]["finish_reason"] == "length"
    cut = COMPLETION.answer(made_version(), [Said(record, "text", cut=True)] * 6, samples=3)
    assert cut["usage"] == {"prompt_tokens": 6, "completion_tokens": 12, "total_tokens": 18}
    assert [(one["index"], one["finish_reason"]) for one in cut["choices"]] == [(n, "stop") for n in range(6)]
    for metrics in ({}, {"input_token_count": 3}, {"input_token_count": True, "output_token_count": "2"}):
        record = made_record(metrics={**metrics, "finish_reason": "odd"})
        shown = CHAT.answer(made_version(), [Said(record, "text", cut=False)])
        assert "usage" not in shown
        assert shown["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("status", "sort", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", "invalid_api_key"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (503, "server_error", None),
    ],
)
def test_errors_have_openais_names(status, sort, code):
    expected = {"message": "why", "type": sort, "param": None, "code": code}
    assert openai_errors.error(status, {"detail": "why"}) == {"error": expected}
