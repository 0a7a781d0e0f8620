"""The types of every encoder: texts in, one row of numbers for each out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
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

# A tokenizer reads about a megabyte a second, and tokens after the first thousand are cut off anyway.
MAX_TEXT_CHARS = 100_000

Rows = Sequence[Sequence[int]]


class Task(StrEnum):
    """What an encoder computes: one score for each label, or a vector."""

    CLASSIFY = "classify"
    EMBED = "embed"


class Activation(StrEnum):
    """How raw numbers become scores: of exclusive labels, of independent labels, or unchanged (regression)."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A text to encode.

    Attributes:
        text: not empty.
        name: of its input, for error messages, such as ``texts[3]``.
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
    """A model's numbers for a text.

    Attributes:
        values: the network's row: a raw score for each label (logits), shape (labels,), or a vector, shape (size,).
        tokens: that the model has read, special ones included.
        cut_tokens: that were cut off, because the text was too long.
    """

    values: tuple[float, ...]
    tokens: int
    cut_tokens: int


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """Describes an encoder, for logs and health.

    Attributes:
        engine: such as ``torch``.
        model: folder or id.
        device: such as ``cpu`` or ``cuda:0``.
        dtype: such as ``bfloat16``.
        task: what it computes.
        max_tokens: of a text, special ones included.
        labels: of a classifier, in the order of its scores; empty for an embedder.
        activation: how a classifier's raw numbers become scores.
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
    limits: BatchLimits
    cost: Cost


class Network(Protocol):
    """The part of an encoder that computes; one thread uses it at a time."""

    def compute(self, rows: Rows) -> list[list[float]]:
        """Return one row of numbers for each row of token ids. Lengths may differ; rows do not affect each other."""


class EncoderEngine(Protocol):
    """Turns texts into numbers, many at a time. Thread-safe."""

    @property
    def info(self) -> EncoderInfo: ...

    def submit(self, requests: Sequence[TextRequest]) -> list[Future[Encoded]]:
        """Queue texts, all or none of them; the results come one by one.

        Cancelling a future takes its text out of the queue; a text in a running batch is computed to its end. A future
        fails with EngineError where the network failed on that text, and with EngineStoppedError where the engine was
        closed.

        Raises:
            InputError: a text has no tokens, or is too long and must not be truncated.
            EngineBusyError: the queue has no room for all of them.
            EngineStoppedError: the engine is closed or dead.
        """

    def healthy(self) -> bool:
        """Whether it can still answer; ``False`` once its thread has died or it was closed."""

    def close(self) -> None:
        """Fail the texts that wait, let the running batch end, and release the model. Safe to call twice."""
