"""A tokenizer of transformers as the codec of a text engine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

__all__ = ["TransformersCodec"]


class TransformersCodec:
    """A transformers tokenizer as a TokenCodec."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # The Rust tokenizer underneath decodes several times faster than the Python wrapper around it.
        self._fast = tokenizer.backend_tokenizer if tokenizer.is_fast else None

    @cached_property
    def longest_token_chars(self) -> int:
        return max((len(token) for token in self._tokenizer.get_vocab()), default=1)

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special_tokens, verbose=False)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        if self._fast is not None:
            text: str = self._fast.decode(ids, skip_special_tokens=True)
        else:
            text = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def apply_chat_template(self, messages: Sequence[dict[str, str]]) -> str | None:
        if not getattr(self._tokenizer, "chat_template", None):
            return None
        text: str = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return text
