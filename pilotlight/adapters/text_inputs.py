"""Turns the inputs of a text prediction, with Replicate's usual names, into an engine's request."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from pilotlight.engines.text.types import GenerationRequest, Sampling, TokenCodec
from pilotlight.errors import InputError

__all__ = ["TextInputs"]

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInputs:
    """One prediction's inputs; their descriptions are in ``predict.py``, where the schema has them from."""

    prompt: str = ""
    system_prompt: str | None = None
    messages: str | None = None
    prompt_template: str | None = None
    max_tokens: int = 512
    max_new_tokens: int | None = None
    min_tokens: int = 0
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 50
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop_sequences: str = ""
    seed: int | None = None

    def request(self, codec: TokenCodec, *, repetition_penalty: float = 1.0) -> GenerationRequest:
        """Return the engine's request.

        Args:
            codec: the model's.
            repetition_penalty: where the inputs state none.

        Raises:
            InputError: inputs contradict each other, ``messages`` is not a conversation, or the model has no chat
                template.
        """
        prompt = self._prompt(codec)
        max_tokens = self.max_tokens if self.max_new_tokens is None else self.max_new_tokens
        if self.min_tokens > max_tokens:
            raise InputError("min_tokens", f"is {self.min_tokens}, more than max_tokens, which is {max_tokens}")
        return GenerationRequest(
            prompt=prompt.text,
            prompt_input="messages" if self.messages else "prompt",
            special_tokens=not prompt.templated,
            continues=prompt.continues,
            sampling=Sampling(
                max_tokens=max_tokens,
                min_tokens=self.min_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                repetition_penalty=repetition_penalty if self.repetition_penalty is None else self.repetition_penalty,
                presence_penalty=self.presence_penalty,
                frequency_penalty=self.frequency_penalty,
                stop=_parse_stops(self.stop_sequences),
                seed=secrets.randbelow(2**31) if self.seed is None else self.seed,
            ),
        )

    def _prompt(self, codec: TokenCodec) -> _Prompt:
        """Return the prompt with its template applied."""
        if self.messages:
            if self.prompt:
                raise InputError("messages", "is given together with prompt; give one of them")
            if self.prompt_template is not None:
                raise InputError("prompt_template", "is given together with messages, which it cannot hold; drop one")
            return self._chat(codec, _parse_messages(self.messages), "messages")
        if not self.prompt:
            return _Prompt("")  # the engine refuses it with a message
        if self.prompt_template is not None:
            return _Prompt(_fill(self.prompt_template, self.prompt, self.system_prompt))
        turn = [{"role": "user", "content": self.prompt}]
        if self.system_prompt:
            return self._chat(codec, turn, "system_prompt")
        chat = codec.apply_chat_template(turn, input_name="prompt")
        return _Prompt(self.prompt) if chat is None else _Prompt(chat, templated=True, continues=False)

    def _chat(self, codec: TokenCodec, turns: list[dict[str, Any]], name: str) -> _Prompt:
        if self.system_prompt:
            turns = [{"role": "system", "content": self.system_prompt}, *turns]
        prefilled = turns[-1]["role"] == "assistant"
        chat = codec.apply_chat_template(turns, continue_last=prefilled, input_name=name)
        if chat is None:
            raise InputError(name, "needs a chat template, which this model does not have; use prompt alone")
        return _Prompt(chat, templated=True, continues=prefilled)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What the model reads.

    Attributes:
        text: not yet in tokens.
        templated: the model's chat template has written it, with special tokens.
        continues: the output continues the text; else it is an answer in a turn of its own.
    """

    text: str
    templated: bool = False
    continues: bool = True


def _parse_stops(text: str) -> tuple[str, ...]:
    """Return the stop sequences of a JSON list of texts, or of a text with commas between them."""
    try:
        stops = json.loads(text) if text.startswith("[") else None
    except (json.JSONDecodeError, RecursionError):
        stops = None
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        stops = text.split(",")
    return tuple(stop for stop in stops if stop)


def _parse_messages(text: str) -> list[dict[str, Any]]:
    try:
        turns = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError("messages", f"is not JSON ({error}); expected a list of {{role, content}}") from None
    if not isinstance(turns, list) or not turns:
        raise InputError("messages", "is not a list with at least one message; expected a list of {role, content}")
    for i, turn in enumerate(turns):
        if not isinstance(turn, dict) or set(turn) != {"role", "content"} or not _is_content(turn["content"]):
            raise InputError(
                "messages",
                f"item {i} is not an object of role and content, both strings; content may also be a list of "
                '{"type": "text", "text": "..."}',
            )
        if turn["role"] not in ROLES:
            raise InputError("messages", f"item {i} has the role {turn['role']!r}; expected one of {', '.join(ROLES)}")
    return turns


def _is_content(value: object) -> bool:
    """Whether a message's content is a text, or a list of parts that are texts."""
    if not isinstance(value, list):
        return isinstance(value, str)
    return bool(value) and all(
        isinstance(part, dict)
        and part.keys() == {"type", "text"}
        and part["type"] == "text"
        and isinstance(part["text"], str)
        for part in value
    )


def _fill(template: str, prompt: str, system_prompt: str | None) -> str:
    """Put the texts into the template in one pass, so that braces within them are not replaced."""
    if "{prompt}" not in template:
        raise InputError("prompt_template", "lacks {prompt}, which the prompt replaces")
    if system_prompt and "{system_prompt}" not in template:
        raise InputError("prompt_template", "lacks {system_prompt}, though a system_prompt is given")
    texts = {"{prompt}": prompt, "{system_prompt}": system_prompt or ""}
    return re.sub(r"\{(?:system_)?prompt\}", lambda match: texts[match[0]], template)
