"""The sample texts, chats in the form that a model was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.errors import InputError
from pilotlight.loading.files.manifest import TextKind

__all__ = ["SampleText", "english", "own_texts"]

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class SampleText:
    """Text that the model was not trained on.

    Attributes:
        description: of the text, for the manifest.
        content: the check uses as much as it needs, from the beginning.
        kind: of the text; ``None`` for one that the user gave.
    """

    description: str
    content: str
    kind: TextKind | None = None


def english() -> SampleText:
    """Return prose and chats as one text without markup, for models that write none."""
    said = [message["content"] for messages in _conversations() for message in messages]
    return SampleText("pilotlight's samples of prose and chats", "\n\n".join([_read("prose.txt"), *said]))


def own_texts(codec: TokenizerCodec) -> tuple[SampleText, ...]:
    """Return a text of each kind; chats are written with the model's chat template where it has one."""
    chats = "".join(_chat(codec, messages) for messages in _conversations())
    return (
        SampleText("pilotlight's sample of prose", _read("prose.txt"), "prose"),
        SampleText("pilotlight's sample of chats", chats, "chat"),
        SampleText("pilotlight's sample of code", _read("code.txt"), "code"),
    )


def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def _conversations() -> list[list[dict[str, Any]]]:
    conversations: list[list[dict[str, Any]]] = json.loads(_read("chat.json"))
    return conversations


def _chat(codec: TokenizerCodec, messages: Sequence[dict[str, Any]]) -> str:
    template = codec.chat_template
    if template is None:
        return "".join(f"{message['role'].capitalize()}: {message['content']}\n\n" for message in messages)
    try:
        text = template.render(messages, continue_last=True)
    except InputError:  # a template without a place for instructions
        text = template.render([one for one in messages if one["role"] != "system"], continue_last=True)
    return text + template.text_after_answer
