"""A tokenizer of transformers as the codec of a text engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pilotlight.engines.text.tokens.chat_template import ChatTemplate, Message, find_template
from pilotlight.engines.text.tokens.tokenizer import BackendTokens, answer_ends
from pilotlight.loading.files.loadable import read_json

__all__ = ["TransformersCodec"]


class TransformersCodec:
    """A transformers tokenizer as a TokenCodec.

    Args:
        tokenizer: loaded.
        folder: where it was loaded from, for its chat template.
    """

    def __init__(self, tokenizer: Any, folder: Path) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        # The Rust tokenizer underneath decodes several times faster than the Python wrapper around it.
        self._fast = BackendTokens(tokenizer.backend_tokenizer, tokenizer.bos_token) if tokenizer.is_fast else None

    @cached_property
    def longest_token_chars(self) -> int:
        return max((len(token) for token in self._tokenizer.get_vocab()), default=1)

    @cached_property
    def special(self) -> Mapping[int, str]:
        if self._fast is not None:
            return self._fast.special
        return dict(zip(self._tokenizer.all_special_ids, self._tokenizer.all_special_tokens, strict=True))

    @property
    def names(self) -> Mapping[str, str]:
        """The tokens with a name, such as ``eos_token``."""
        names: dict[str, str] = self._tokenizer.special_tokens_map
        return names

    @property
    def answer_ends(self) -> tuple[int, ...]:
        return answer_ends(self, self._template)

    def token_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.get_vocab().get(token)
        return found

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        if self._fast is not None:
            return self._fast.encode(text, special_tokens=special_tokens)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special_tokens, verbose=False)
        return ids

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        """Return the tokens of a text or a pair with the special ones, and the token type of each."""
        found = self._tokenizer(text, pair, return_token_type_ids=True, verbose=False)
        return list(found["input_ids"]), list(found.get("token_type_ids") or [0] * len(found["input_ids"]))

    def decode(self, ids: Sequence[int]) -> str:
        if self._fast is not None:
            return self._fast.decode(ids)
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def ends_whole(self, ids: Sequence[int]) -> bool:
        return self._fast is not None and self._fast.ends_whole(ids)

    def apply_chat_template(
        self, messages: Sequence[Message], *, continue_last: bool = False, input_name: str = "messages"
    ) -> str | None:
        if self._template is None:
            return None
        return self._template.render(messages, continue_last=continue_last, input_name=input_name)

    @cached_property
    def _template(self) -> ChatTemplate | None:
        path = self._folder / "tokenizer_config.json"
        source = find_template(self._folder, read_json(path) if path.is_file() else {})
        return None if source is None else ChatTemplate(source, self.names)
