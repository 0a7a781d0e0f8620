"""OpenAI's parameters as inputs of a predictor, as far as the predictor declares them. Pure.

A parameter becomes the input of its name, or of the name that Replicate's models use for it. Further inputs of the
predictor are accepted under their own names (``extra_body`` of OpenAI's client). A parameter that is null or has
OpenAI's default is left out where no input stands for it; with any other value it is refused, because leaving it out
would change the text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.openai.schemas import ChatBody, CompletionBody, ContentPart, Message
from pilotlight.runtime.predictor_schema import InputField

# As many as OpenAI allows.
MOST_SAMPLES = 128

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
    # Of vLLM and others, with their values for "off".
    "top_k": ("0", "-1"),
    "min_p": ("0", "0.0"),
    "typical_p": ("1", "1.0"),
    "repetition_penalty": ("1", "1.0"),
    "length_penalty": ("1", "1.0"),
    "min_tokens": ("0",),
    "use_beam_search": ("false",),
    "skip_special_tokens": ("true",),
    "add_generation_prompt": ("true",),
}

# By parameter, a value that means "off" elsewhere, and what means it here.
_OFF = {"top_k": (-1, 0)}

# Fields of a message that do not change the text: whose it is, and what clients copy from answers.
_UNTOLD = ("name", "refusal", "annotations", "reasoning", "reasoning_content", "id", "created_at")


@dataclass(frozen=True, slots=True)
class Mapped:
    """The inputs of a prediction.

    Attributes:
        inputs: by name.
        params: by input, the parameter that gave it.
        cut: the stop sequences that no input can hold: the text is cut before the first of them.
    """

    inputs: dict[str, Any]
    params: dict[str, str]
    cut: tuple[str, ...] = ()


def refused(param: str, problem: str, *, code: str | None = None) -> ApiError:
    """Return a 400 for one parameter."""
    extra = {"param": param, "code": code}
    return ApiError(HTTPStatus.BAD_REQUEST, f"{param}: {problem}", extra=extra)


def completion_inputs(body: CompletionBody, declared: Mapping[str, InputField]) -> list[Mapped]:
    """Return the inputs for ``POST /completions``, for each choice: ``n`` of each prompt.

    Raises:
        ApiError: 400 for a parameter that the predictor has no input for.
    """
    if "prompt" not in declared:
        raise refused("prompt", "this model takes only conversations: use /openai/v1/chat/completions")
    texts = _prompts(body.prompt)
    return [
        one
        for text in texts
        for one in _samples(body, _with_settings({"prompt": text}, "prompt", body, declared), declared)
    ]


def chat_inputs(body: ChatBody, declared: Mapping[str, InputField]) -> list[Mapped]:
    """Return the inputs for ``POST /chat/completions``, for each of ``n`` choices.

    The conversation is the input ``messages`` where that is declared.

    Otherwise a conversation of one user message, with or without system messages before it, becomes ``prompt`` and
    ``system_prompt``.

    Raises:
        ApiError: 400 for a parameter that the predictor has no input for.
    """
    told = _with_settings(_conversation(body.messages, declared), "messages", body, declared)
    return _samples(body, told, declared)


def _samples(body: CompletionBody | ChatBody, mapped: Mapped, declared: Mapping[str, InputField]) -> list[Mapped]:
    """Return the inputs for each of ``n`` choices; a seed goes up by one from choice to choice, or all were equal."""
    n, seed = body.n or 1, body.seed
    if not 1 <= (1 if body.n is None else body.n) <= MOST_SAMPLES:
        raise refused("n", f"is {body.n}: give 1 to {MOST_SAMPLES}")
    if seed is None or n == 1:
        return [mapped] * n
    limit = declared["seed"].schema.get("maximum", math.inf)
    if seed + n - 1 > limit:
        raise refused("seed", f"is {seed}: the seeds of {n} choices would go beyond {limit}")
    return [replace(mapped, inputs={**mapped.inputs, "seed": seed + number}) for number in range(n)]


def _with_settings(
    text: Mapping[str, Any],
    source: str,
    body: CompletionBody | ChatBody,
    declared: Mapping[str, InputField],
) -> Mapped:
    """Return ``text``, which the parameter ``source`` gave, with the inputs for all other parameters."""
    given = {
        **body.limit,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "presence_penalty": body.presence_penalty,
        "frequency_penalty": body.frequency_penalty,
        "seed": body.seed,
        "stop": body.stop,
        **body.others,
    }
    inputs, params = dict(text), dict.fromkeys(text, source)
    cut: tuple[str, ...] = ()
    for param, value in given.items():
        name = next((one for one in _NAMES.get(param, (param,)) if one in declared), None)
        neutral = _NEUTRAL.get(param, ()) if param != "best_of" else ("1", json.dumps(body.n))
        if value is None or (name is None and json.dumps(value) in neutral):
            continue
        if name is None:
            raise refused(param, "this model has no input for it; leave it out", code="unsupported_parameter")
        if name in inputs:
            raise refused(param, f"is given beside {params[name]}, which is the model's {name} already; leave one out")
        if param == "stop":
            inputs[name], cut = _stops(value, declared[name])
        else:
            inputs[name] = _off(param, value, declared[name])
        params[name] = param
    if body.ignore_eos:
        inputs |= _without_end(body, next(iter(body.limit.values())), declared)
    return Mapped(inputs, params, cut)


def _prompts(prompt: str | Sequence[Any]) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise refused("prompt", "is an empty list: send a string, or a list of strings")
    if not all(isinstance(one, str) for one in prompts):
        raise refused("prompt", "holds token ids, but this model takes text: send a string, or a list of strings")
    return prompts


def _off(param: str, value: Any, declared: InputField) -> Any:
    """Return the value, or the model's own for "off" where the given one is that of other servers."""
    elsewhere, here = _OFF.get(param, (None, None))
    return here if value is not None and value == elsewhere and declared.schema.get("minimum") == here else value


def _stops(stop: str | list[str], declared: InputField) -> tuple[str | list[str], tuple[str, ...]]:
    """Return the stop sequences as the model declares them, and those that it cannot be told.

    A model declares a list, or one text, as Replicate's models do: with commas between the sequences or, where its
    description says JSON, a JSON list.
    """
    stops = [one for one in ([stop] if isinstance(stop, str) else stop) if one]
    if "array" in declared.types:
        return stops, ()
    if "JSON" in declared.description and any("," in one or one.startswith("[") for one in stops):
        return json.dumps(stops, ensure_ascii=False), ()
    return ",".join(one for one in stops if "," not in one), tuple(one for one in stops if "," in one)


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
        if name not in _UNTOLD and value not in (None, [], {}):
            raise refused("messages", f"{place}.{name} is not supported by this model: send role and content only")
    if message.content is None:
        raise refused("messages", f"{place}.content is missing")
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "content": _text(place, message.content)}


def _text(place: str, content: str | list[ContentPart]) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for number, part in enumerate(content):
        if part.type not in ("text", "input_text", "output_text"):
            raise refused("messages", f"{place}.content.{number} is of type {part.type!r}: this model takes text only")
        if part.text is None:
            raise refused("messages", f"{place}.content.{number}.text is missing")
        texts.append(part.text)
    return "".join(texts)
