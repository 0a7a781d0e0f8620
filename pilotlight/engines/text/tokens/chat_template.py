"""A model's chat template, rendered as transformers renders it: a conversation in, the model's prompt out.

The template language is Jinja in a sandbox, with what transformers adds to it: the tag ``generation``, ``break`` and
``continue``, ``raise_exception``, ``strftime_now``, ``dict``, ``namespace``, and a ``tojson`` that escapes no HTML.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pilotlight.errors import InputError, WeightsError
from pilotlight.loading.files.loadable import read_json

__all__ = ["ChatTemplate", "Message", "TemplateSource", "find_template"]

Message = Mapping[str, Any]

# A template renders a long conversation in some milliseconds, and every other request waits for it.
TIME_LIMIT_S = 5.0
CHECK_TIME = "pilotlight_check_time"  # the variable of a template that it calls in every loop
# Put at the end of a text that the model continues, to find where to cut; the space tells whether it was trimmed.
END_MARK = "END_OF_THE_TEXT_TO_CONTINUE "
PROBE = "PROBE-OF-THE-TEMPLATE"
MAX_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A template and where it was found.

    Attributes:
        text: of the template.
        place: for error messages, such as ``chat_template.jinja``.
    """

    text: str
    place: str


def find_template(folder: Path, config: Mapping[str, Any]) -> TemplateSource | None:
    """Return the default template of the model in ``folder``; ``None`` where it has none.

    Files come before the configuration, as in transformers; ``chat_template.json``, which only processors read there,
    comes last.

    Args:
        folder: a model folder.
        config: its ``tokenizer_config.json``; may be empty.

    Raises:
        WeightsError: a file cannot be read.
    """
    for name in ("chat_template.jinja", "additional_chat_templates/default.jinja"):
        path = folder / name
        if path.is_file():
            try:
                return TemplateSource(path.read_text("utf-8"), str(path))
            except (OSError, ValueError) as error:
                raise WeightsError(f"{path} cannot be read as a chat template: {error}") from error
    if (text := _default_of(config.get("chat_template"))) is not None:
        return TemplateSource(text, f"chat_template in {folder / 'tokenizer_config.json'}")
    path = folder / "chat_template.json"
    if path.is_file() and (text := _default_of(read_json(path).get("chat_template"))) is not None:
        return TemplateSource(text, str(path))
    return None


class ChatTemplate:
    """One model's template, compiled.

    Args:
        source: of the template.
        special_tokens: variables of the template, such as ``bos_token``.
        time_limit_s: for rendering one conversation.

    Raises:
        WeightsError: it does not compile.
    """

    def __init__(
        self, source: TemplateSource, special_tokens: Mapping[str, str], *, time_limit_s: float = TIME_LIMIT_S
    ) -> None:
        self._special_tokens = dict(special_tokens)
        self._time_limit_s = time_limit_s
        self._template = _compile(source)

    def render(self, messages: Sequence[Message], *, continue_last: bool = False, input_name: str = "messages") -> str:
        """Return the model's prompt for a conversation.

        Args:
            messages: at least one; ``content`` is a text, or a list of ``{"type": "text", "text": ...}``.
            continue_last: leave the turn of the last message open, for the model to continue its text, instead of
                opening a turn of the assistant after it. A last message without text is that opened turn.
            input_name: the input that the messages came from, for error messages.

        Raises:
            InputError: the template refuses the messages, or fails on them.
        """
        turns = [self._suited(message) for message in messages]
        if continue_last and len(turns) > 1 and _is_empty(turns[-1]):
            turns, continue_last = turns[:-1], False
        try:
            if continue_last:
                return self._continued(turns)
            return self._rendered(turns, add_generation_prompt=True)
        except Exception as error:  # the template's own, whatever type it has
            raise InputError(input_name, f"do not suit this model's chat template: {_reason(error)}") from error

    @cached_property
    def text_after_answer(self) -> str:
        """What the template writes after the text of an assistant's message at the end; empty if that is not known."""
        for messages in (
            [{"role": "user", "content": "x"}, {"role": "assistant", "content": PROBE}],
            [{"role": "assistant", "content": PROBE}],
        ):
            text = self._probed([self._suited(message) for message in messages])
            if PROBE in text:
                return text[text.rindex(PROBE) + len(PROBE) :]
        return ""

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template shows contents only as lists of parts, as those of some multimodal models do."""
        if PROBE in self._probed([{"role": "user", "content": PROBE}]):
            return False
        return PROBE in self._probed([{"role": "user", "content": [{"type": "text", "text": PROBE}]}])

    def _suited(self, message: Message) -> dict[str, Any]:
        """Return a copy of the message with its content in the form that the template takes, without empty values."""
        turn = {key: value for key, value in message.items() if value is not None}
        content = turn.get("content")
        if isinstance(content, str) and self._takes_parts:
            turn["content"] = [{"type": "text", "text": content}]
        elif isinstance(content, list) and not self._takes_parts:
            turn["content"] = "".join(part["text"] for part in content)
        elif isinstance(content, list):
            turn["content"] = [dict(part) for part in content]
        return turn

    def _probed(self, messages: list[dict[str, Any]]) -> str:
        try:
            return self._rendered(messages, add_generation_prompt=False)
        except Exception:  # noqa: BLE001 - a template may refuse what it is probed with
            return ""

    def _rendered(self, messages: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        deadline = time.monotonic() + self._time_limit_s

        def check_time() -> None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"it has not rendered them within {self._time_limit_s:g} s")

        text: str = self._template.render(
            messages=messages,
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **{**self._special_tokens, CHECK_TIME: check_time},
        )
        return text

    def _continued(self, messages: list[dict[str, Any]]) -> str:
        """Return the prompt up to the end of the last message's text, by transformers' ``continue_final_message``."""
        last = messages[-1]
        if isinstance(last["content"], list):
            final = last["content"][-1]["text"]
            last["content"][-1]["text"] = final + END_MARK
        else:
            final = last["content"]
            last["content"] = final + END_MARK
        text = self._rendered(messages, add_generation_prompt=False)
        if text.count(END_MARK.strip()) != 1 or final.strip() not in text:
            raise ValueError("it changes or repeats the text of the last message, which therefore cannot be continued")
        at = text.index(END_MARK.strip())
        whole = text.startswith(END_MARK, at)
        return text[:at] if whole else text[:at].rstrip()


def _default_of(value: object) -> str | None:
    """Return the default one of several named templates, or the only one."""
    if isinstance(value, list):
        value = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
    if isinstance(value, dict):
        value = value.get("default")
    return value if isinstance(value, str) else None


def _compile(source: TemplateSource) -> Any:
    from pilotlight.engines.text.tokens.chat_language import (
        compile_template,
    )  # imports jinja2, for models with a template only

    try:
        return compile_template(source.text, CHECK_TIME)
    except Exception as error:  # whatever the parser raises, on whatever text
        line = getattr(error, "lineno", None)
        where = "" if line is None else f"line {line}: "
        raise WeightsError(f"{source.place} is no valid chat template: {where}{_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return an error's message in one line, or the name of its type."""
    text = " ".join(str(getattr(error, "message", None) or error).split()) or type(error).__name__
    return text if len(text) <= MAX_REASON_CHARS else text[:MAX_REASON_CHARS] + "..."


def _is_empty(message: Message) -> bool:
    content = message.get("content")
    return not any(part["text"] for part in content) if isinstance(content, list) else not content
