"""What an encoder takes and gives: texts in, one row of numbers each out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pilotlight.engines.encoders.batch_planner import Cost, Limits
from pilotlight.errors import InputError

__all__ = [
    "MAX_TEXT_CHARS",
    "Activation",
    "Encoded",
    "EncoderEngine",
    "EncoderInfo",
    "Network",
    "Rows",
    "Task",
    "TextRequest",
]

# A tokenizer reads about a megabyte a second, and what lies behind the first thousand tokens is cut off anyway.
MAX_TEXT_CHARS = 100_000

Rows = Sequence[Sequence[int]]


class Task(StrEnum):
    """What the numbers are: one score for each label, or a vector."""

    CLASSIFY = "classify"
    EMBED = "embed"


class Activation(StrEnum):
    """From a classifier's raw numbers to scores: they exclude each other, they do not, or they are no probabilities."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A text to encode.

    Attributes:
        text: not empty.
        name: the input that it came from, for error messages, such as ``texts[3]``.
        truncate: cut off what does not fit the model; otherwise that is an InputError.
    """

    text: str
    name: str = "text"
    truncate: bool = True

    def __post_init__(self) -> None:
        if not self.text:
            raise InputError(self.name, "is empty; give at least one character")
        if len(self.text) > MAX_TEXT_CHARS:
            raise InputError(
                self.name, f"has {len(self.text)} characters and at most {MAX_TEXT_CHARS} are taken: send it in parts"
            )
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                self.name, f"holds half a surrogate pair at character {error.start}; send whole ones"
            ) from None


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a model makes of a text.

    Attributes:
        values: the network's row: a raw score for each label (logits), shape (labels,), or a vector, shape (size,).
        tokens: that the model has read, its special ones included.
        cut_tokens: that it has not, because the text was too long.
    """

    values: tuple[float, ...]
    tokens: int
    cut_tokens: int


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """What an encoder is, for logs and health.

    Attributes:
        engine: such as ``torch``.
        model: folder or id.
        device: such as ``cpu`` or ``cuda:0``.
        dtype: such as ``bfloat16``.
        task: what its numbers are.
        max_tokens: of a text, special ones included.
        labels: of a classifier, in the order of its scores; empty for an embedder.
        activation: from a classifier's raw numbers to scores.
        queue_size: texts inside at most, running and waiting.
        limits: of a batch.
        cost: of a batch, as measured at the start.
    """

    engine: str
    model: str
    device: str
    dtype: str
    task: Task
    max_tokens: int
    labels: tuple[str, ...]
    activation: Activation
    queue_size: int
    limits: Limits
    cost: Cost


class Network(Protocol):
    """The part of an encoder that computes.  Used by one thread at a time."""

    def compute(self, rows: Rows) -> list[list[float]]:
        """One row of numbers for each row of token ids, whose lengths may differ; nothing of one changes another."""


class EncoderEngine(Protocol):
    """Turns texts into numbers, many at a time.  Thread-safe."""

    @property
    def info(self) -> EncoderInfo: ...

    def submit(self, requests: Sequence[TextRequest]) -> list[Future[Encoded]]:
        """Queue texts, all or none of them; the results come one by one.

        Cancelling a future takes its text out of the queue; one that a batch has begun with ends by itself.  A future
        fails with EngineError where the network failed on that text, and EngineStoppedError where the engine closed.

        Raises:
            InputError: a text that is nothing to the tokenizer, or too long and not to be truncated.
            EngineBusyError: the queue has no room for all of them.
            EngineStoppedError: the engine is closed or dead.
        """

    def healthy(self) -> bool:
        """Whether it can still answer; ``False`` once its thread has died or it was closed."""

    def close(self) -> None:
        """Fail what waits, let what runs end, and let go of the model.  Safe to call twice."""
