"""The types of every text engine: requests in, chunks of text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pilotlight.errors import InputError

__all__ = [
    "Chunk",
    "EngineInfo",
    "FinishReason",
    "GenerationRequest",
    "Sampling",
    "TokenCodec",
    "Usage",
]


# Every stop sequence is searched for after every token, on the thread that serves all requests.
MAX_STOPS = 64
MAX_STOP_CHARS = 1000
# Scores divided by less than this leave the range of float32; the likeliest token wins at much higher temperatures.
GREEDY_BELOW = 1e-5


class FinishReason(StrEnum):
    """Why a generation ended: the model or a stop sequence, the limit of tokens, or a cancel."""

    STOP = "stop"
    LENGTH = "length"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; ``text.sampling`` has the exact rules. The defaults are usual for text models on
    Replicate.

    Attributes:
        max_tokens: output tokens at most; fewer where the model's context ends first.
        min_tokens: before so many, neither the end-of-text token nor a stop sequence ends the output.
        temperature: 0 is greedy.
        top_p: nucleus: the smallest set of tokens with this much probability, after ``top_k``.
        top_k: candidates at most; 0 is all.
        repetition_penalty: above 1 makes tokens of the prompt and of the output less likely (CTRL's definition).
        presence_penalty: subtracted once from every token that the output holds.
        frequency_penalty: subtracted once per occurrence in the output.
        stop: the output ends before the first of these; they are never part of it.
        seed: of this request's own random stream. The same seed gives the same text whatever else is in the batch, up
            to floating-point ties: batches of other shapes add the same numbers in another order, and where two
            tokens are equally likely to the last bits, either may win.

    Raises:
        InputError: a value is out of range. Engines rely on it: one bad row would fail its whole batch.
    """

    max_tokens: int = 512
    min_tokens: int = 0
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 50
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        bounds = {
            "max_tokens": (1, math.inf),
            "min_tokens": (0, math.inf),
            "temperature": (0, 100),
            "top_p": (0, 1),
            "top_k": (0, math.inf),
            "repetition_penalty": (0.01, 100),
            "presence_penalty": (-100, 100),
            "frequency_penalty": (-100, 100),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:  # NaN is refused, too
                raise InputError(name, f"is {value}; expected {low} to {high}")
        if len(self.stop) > MAX_STOPS or any(not 0 < len(stop) <= MAX_STOP_CHARS for stop in self.stop):
            raise InputError(
                "stop_sequences", f"takes at most {MAX_STOPS} sequences of 1 to {MAX_STOP_CHARS} characters each"
            )
        if any("\ud800" <= character <= "\udfff" for stop in self.stop for character in stop):
            raise InputError("stop_sequences", "hold half a surrogate pair; send whole characters")

    @property
    def greedy(self) -> bool:
        """Whether the highest score wins, without a random number."""
        return self.temperature < GREEDY_BELOW

    @property
    def penalizes(self) -> bool:
        """Whether any penalty changes a score."""
        return self.repetition_penalty != 1.0 or self.penalizes_output

    @property
    def penalizes_output(self) -> bool:
        """Whether a penalty counts the tokens of the output."""
        return self.presence_penalty != 0.0 or self.frequency_penalty != 0.0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt as the model gets it (templates already applied), and how to continue it.

    Attributes:
        prompt: not empty.
        sampling: how tokens are chosen.
        prompt_input: the name of the input that the prompt came from, for error messages.
        special_tokens: let the tokenizer add its own (a beginning-of-text token, say); off where a chat template
            has written them into the prompt.
        continues: the output continues the prompt's text, so that a space between the two belongs to the output; off
            where it is an answer with a turn of its own.
    """

    prompt: str
    sampling: Sampling = field(default_factory=Sampling)
    prompt_input: str = "prompt"
    special_tokens: bool = True
    continues: bool = True


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output; the last one of a generation, and only that one, has a finish reason.

    Attributes:
        text: whole characters, never part of a stop sequence; may be empty in the last one.
        output_tokens: tokens generated so far, those of this chunk included.
        finish: set in the last chunk.
    """

    text: str
    output_tokens: int
    finish: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and times of a generation; seconds from its submission."""

    input_tokens: int
    output_tokens: int
    time_to_first_token_s: float
    total_s: float

    @property
    def tokens_per_second(self) -> float:
        """Output tokens per second of decoding: the wait for the first one is not counted."""
        decode_s = self.total_s - self.time_to_first_token_s
        return (self.output_tokens - 1) / decode_s if self.output_tokens > 1 and decode_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Describes an engine, for logs and health.

    Attributes:
        engine: such as ``torch``.
        model: folder or id.
        device: such as ``cpu`` or ``cuda:0``.
        dtype: such as ``bfloat16``.
        context_tokens: prompt and output together, at most.
        slots: requests that advance together; 1 means that they wait for each other.
        queue_size: further requests that may wait.
        cache_bytes: memory reserved for the keys and values of all requests together; 0 where it grows as needed.
        note: one line that a user should know, such as why there is one slot only.
        model_context_tokens: of the model, where memory holds less for one request; 0 elsewhere.
    """

    engine: str
    model: str
    device: str
    dtype: str
    context_tokens: int
    slots: int
    queue_size: int
    cache_bytes: int = 0
    note: str = ""
    model_context_tokens: int = 0


class TokenCodec(Protocol):
    """Text to token ids and back."""

    @property
    def longest_token_chars(self) -> int:
        """Characters of the longest token; it bounds how much text fits a number of tokens, without encoding it."""

    @property
    def special(self) -> Mapping[int, str]:
        """The special tokens, which ``decode`` leaves out, with their texts."""

    @property
    def answer_ends(self) -> tuple[int, ...]:
        """The special tokens that the chat template writes after an answer; empty without a template.

        Raises:
            WeightsError: the model's template is not valid.
        """

    def token_id(self, token: str) -> int | None:
        """Return the id of the token with this text, if there is one."""

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: valid Unicode.
            special_tokens: add those that the tokenizer begins or ends a text with. A beginning-of-text token that the
                text has already is not added again.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without special tokens; a broken character becomes U+FFFD.

        Spaces are as the tokens have them: a tokenizer's ``clean_up_tokenization_spaces`` has no effect.
        """

    def ends_whole(self, ids: Sequence[int]) -> bool:
        """Whether ``ids``, whose text ends in U+FFFD, spell that character, not the beginning of another one."""

    def apply_chat_template(
        self, messages: Sequence[Mapping[str, Any]], *, continue_last: bool = False, input_name: str = "messages"
    ) -> str | None:
        """Return the prompt for a conversation, with the special tokens in it; ``None`` without a template.

        Args:
            messages: at least one; ``content`` is a text, or a list of ``{"type": "text", "text": ...}``.
            continue_last: leave the last message's turn open, instead of opening one of the assistant.
            input_name: the input that the messages came from, for error messages.

        Raises:
            InputError: the template refuses the messages.
            WeightsError: the model's template is not valid.
        """
