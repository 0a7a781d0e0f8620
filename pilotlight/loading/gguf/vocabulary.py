"""The tokens of a GGUF file, their kinds, and which of them begin and end a text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.metadata import Metadata


class Kind(IntEnum):
    """What a token is; the numbers are llama.cpp's."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


# Tokens that end a turn in the chat formats of the supported models. One counts where the file's template writes it.
TURN_ENDS = frozenset(
    {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "</s>", "[EOT]"}
)
SPECIAL_KEYS = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "unk_token_id": "unknown_token_id",
    "pad_token_id": "padding_token_id",
}


@dataclass(frozen=True)
class Vocabulary:
    """The entries ``tokenizer.ggml.*`` of a file."""

    metadata: Metadata

    def get(self, key: str, default: Any = None) -> Any:
        """Return ``tokenizer.ggml.KEY``."""
        return self.metadata.entries.get(f"tokenizer.ggml.{key}", default)

    @cached_property
    def tokens(self) -> list[str]:
        tokens = self.get("tokens")
        if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
            raise WeightsError(f"{self.metadata.where} has no vocabulary (tokenizer.ggml.tokens)")
        return tokens

    @cached_property
    def kinds(self) -> list[int]:
        kinds = self.get("token_type", [Kind.NORMAL] * len(self.tokens))
        if not isinstance(kinds, list) or len(kinds) != len(self.tokens):
            raise WeightsError(f"{self.metadata.where} has kinds of another number of tokens than {len(self.tokens)}")
        return kinds

    @cached_property
    def special_ids(self) -> dict[str, int | None]:
        """The ids by the names of ``config.json``; ``None`` for what the file does not state."""
        return {name: self._id(key) for name, key in SPECIAL_KEYS.items()}

    @cached_property
    def special_tokens(self) -> dict[str, str]:
        """The tokens by the names of ``tokenizer_config.json``."""
        found = {name.removesuffix("_id"): one for name, one in self.special_ids.items() if one is not None}
        return {name: self.tokens[one] for name, one in found.items()}

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Every token that ends a text or a turn, the file's own first."""
        ends = [self._id(key) for key in ("eos_token_id", "eot_token_id", "eom_token_id")]
        template = self.chat_template or ""
        for number, (token, kind) in enumerate(zip(self.tokens, self.kinds, strict=True)):
            if kind in (Kind.CONTROL, Kind.USER_DEFINED) and token in TURN_ENDS and token in template:
                ends.append(number)
        return tuple(dict.fromkeys(end for end in ends if end is not None))

    @cached_property
    def chat_template(self) -> str | None:
        template = self.metadata.entries.get("tokenizer.chat_template")
        return template if isinstance(template, str) and template else None

    def _id(self, key: str) -> int | None:
        value = self.get(key)
        if value is None or value in (-1, 0xFFFFFFFF):  # how some converters write that there is none
            return None
        if not isinstance(value, int) or not 0 <= value < len(self.tokens):
            raise WeightsError(
                f"{self.metadata.where} has tokenizer.ggml.{key} = {value!r}, and its vocabulary has "
                f"{len(self.tokens)} tokens"
            )
        return value
