"""OpenAI's parameters as inputs of a predictor, as far as the predictor declares them. Pure.

A parameter becomes the input of its name, or of the name that Replicate's models use for it. Further inputs of the
predictor are accepted under their own names (``extra_body`` of OpenAI's client). A parameter that is null or has
OpenAI's default is left out where no input stands for it; with any other value it is refused, because leaving it out
would change the text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.openai.schemas import ChatBody, CompletionBody, Message
from pilotlight.runtime.predictor_schema import InputField

_LIMITS = ("max_tokens", "max_new_tokens", "max_output_tokens")
# By parameter, the inputs that can stand for it, the preferred one first; any other stands for itself.
_NAMES = {
    "max_tokens": _LIMITS,
    "max_completion_tokens": _LIMITS,
    "stop": ("stop_sequences", "stop"),
}

# OpenAI's own defaults, as JSON, so that 0 is not taken for false.
_NEUTRAL = {
    "temperature": ("1.0",),
    "top_p": ("1.0",),
    "presence_penalty": ("0.0",),
    "frequency_penalty": ("0.0",),
    "stop": ('""', "[]"),
    "best_of": ("1",),
    "echo": ("false",),
    "suffix": ('""',),
    "logit_bias": ("{}",),
    "logprobs": ("false",),
    "top_logprobs": ("0",),
    "tools": ("[]",),
    "tool_choice": ('"none"', '"auto"'),
    "parallel_tool_calls": ("true", "false"),
    "functions": ("[]",),
    "function_call": ('"none"', '"auto"'),
    "response_format": ('{"type": "text"}',),
    "modalities": ('["text"]',),
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """The inputs of a prediction.

    Attributes:
        inputs: by name.
        params: by input, the parameter that gave it.
    """

    inputs: dict[str, Any]
    params: dict[str, str]


def refused(param: str, problem: str, *, code: str | None = None) -> ApiError:
    """Return a 400 for one parameter."""
    extra = {"param": param, "code": code}
    return ApiError(HTTPStatus.BAD_REQUEST, f"{param}: {problem}", extra=extra)


def completion_inputs(body: CompletionBody, declared: Mapping[str, InputField]) -> Mapped:
    """Return the inputs for ``POST /completions``.

    Raises:
        ApiError: 400 for a parameter that the predictor has no input for.
    """
    if "prompt" not in declared:
        raise refused("prompt", "this model takes only conversations: use /openai/v1/chat/completions")
    text = {"prompt": _one_prompt(body.prompt)}
    return _with_settings(text, "prompt", body, {"max_tokens": body.max_tokens}, declared)


def chat_inputs(body: ChatBody, declared: Mapping[str, InputField]) -> Mapped:
    """Return the inputs for ``POST /chat/completions``: the conversation as ``messages`` where that is declared.

    Otherwise a conversation of one user message, with or without system messages before it, becomes ``prompt`` and
    ``system_prompt``.

    Raises:
        ApiError: 400 for a parameter that the predictor has no input for.
    """
    newer = body.max_completion_tokens is not None
    limit = {"max_completion_tokens": body.max_completion_tokens} if newer else {"max_tokens": body.max_tokens}
    return _with_settings(_conversation(body.messages, declared), "messages", body, limit, declared)


def _with_settings(
    text: Mapping[str, Any],
    source: str,
    body: CompletionBody | ChatBody,
    limit: Mapping[str, int | None],
    declared: Mapping[str, InputField],
) -> Mapped:
    """Return ``text``, which the parameter ``source`` gave, with the inputs for all other parameters."""
    if body.n not in (None, 1):
        raise refused("n", f"is {body.n}, but a prediction has one output: send {body.n} requests")
    given = {
        **limit,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "presence_penalty": body.presence_penalty,
        "frequency_penalty": body.frequency_penalty,
        "seed": body.seed,
        "stop": body.stop,
        **body.others,
    }
    inputs, params = dict(text), dict.fromkeys(text, source)
    for param, value in given.items():
        name = next((one for one in _NAMES.get(param, (param,)) if one in declared), None)
        if value is None or (name is None and json.dumps(value) in _NEUTRAL.get(param, ())):
            continue
        if name is None:
            raise refused(param, "this model has no input for it; leave it out", code="unsupported_parameter")
        if name in inputs:
            raise refused(param, f"is given beside {params[name]}, which is the model's {name} already; leave one out")
        inputs[name] = _stops(value, declared[name]) if param == "stop" else value
        params[name] = param
    if body.ignore_eos:
        inputs |= _without_end(body, next(iter(limit.values())), declared)
    return Mapped(inputs, params)


def _one_prompt(prompt: str | Sequence[Any]) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str):
        raise refused("prompt", f"holds {len(prompt)} prompts, but a prediction has one: send one request for each")
    raise refused("prompt", "holds token ids, but this model takes text: send a string")


def _stops(stop: str | list[str], declared: InputField) -> str | list[str]:
    """Return a list, or one text with commas, as Replicate's models declare them."""
    stops = [stop] if isinstance(stop, str) else stop
    if "array" in declared.types:
        return stops
    for one in stops:
        if "," in one:
            raise refused("stop", f"{one!r} holds a comma, which separates the stop sequences of this model")
    return ",".join(stops)


def _without_end(
    body: CompletionBody | ChatBody, limit: int | None, declared: Mapping[str, InputField]
) -> dict[str, Any]:
    """Return the inputs for ``ignore_eos``, an option of vLLM's that benchmarks send: run to the limit of tokens."""
    if "ignore_eos" in declared:
        return {"ignore_eos": True}
    if limit is None or "min_tokens" not in declared:
        raise refused("ignore_eos", "this model supports it only together with max_tokens: give that too")
    if body.stop:
        raise refused("ignore_eos", "is given beside stop, which this model would ignore too; leave one out")
    return {"min_tokens": limit}


def _conversation(messages: Sequence[Message], declared: Mapping[str, InputField]) -> dict[str, Any]:
    turns = [_turn(number, message) for number, message in enumerate(messages)]
    if "messages" in declared:
        as_text = declared["messages"].types == {"string"}
        return {"messages": json.dumps(turns, ensure_ascii=False) if as_text else turns}
    *system, last = turns
    if last["role"] != "user" or any(turn["role"] != "system" for turn in system):
        raise refused(
            "messages", "this model has no input for a conversation: send one user message, after system ones"
        )
    if not system:
        return {"prompt": last["content"]}
    if "system_prompt" not in declared:
        raise refused("messages", "this model has no input for a system message: send one user message alone")
    return {"prompt": last["content"], "system_prompt": "\n\n".join(turn["content"] for turn in system)}


def _turn(number: int, message: Message) -> dict[str, str]:
    place = f"messages.{number}"
    for name, value in (message.model_extra or {}).items():
        if value not in (None, [], {}):
            raise refused("messages", f"{place}.{name} is not supported by this model: send role and content only")
    if message.content is None:
        raise refused("messages", f"{place}.content is missing")
    content = message.content if isinstance(message.content, str) else "".join(one.text for one in message.content)
    return {"role": "system" if message.role == "developer" else message.role, "content": content}
