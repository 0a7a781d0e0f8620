"""The types of every encoder: texts in, one row of numbers for each out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.errors import InputError

__all__ = [
    "MAX_TEXT_CHARS",
    "Activation",
    "Encoded",
    "EncoderCodec",
    "EncoderEngine",
    "EncoderInfo",
    "Network",
    "Padding",
    "Row",
    "Rows",
    "Task",
    "TextRequest",
    "TextRules",
]

# A tokenizer reads about a megabyte a second, and tokens after the first thousand are cut off anyway.
MAX_TEXT_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """A text as the model reads it.

    Attributes:
        ids: its tokens, special ones included; not empty.
        types: the token type of each (which text of a pair it belongs to); empty where all are 0.
        prompt_tokens: how many of the first tokens no pooling counts.
    """

    ids: Sequence[int]
    types: Sequence[int] = ()
    prompt_tokens: int = 0

    def __len__(self) -> int:
        return len(self.ids)


Rows = Sequence[Row]


class Task(StrEnum):
    """What an encoder computes: one score for each label, or a vector."""

    CLASSIFY = "classify"
    EMBED = "embed"


class Activation(StrEnum):
    """How raw numbers become scores: of exclusive labels, of independent labels, or unchanged (regression)."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


class Padding(StrEnum):
    """How texts of different lengths share a batch without changing each other's numbers.

    ``NONE``: only texts of the same length share one. ``ALONE``: every text is computed alone.
    """

    RIGHT = "right"
    LEFT = "left"
    NONE = "none"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A text to encode, or a pair of texts.

    Attributes:
        text: not empty.
        name: of its input, for error messages, such as ``texts[3]``.
        truncate: cut off what does not fit the model; otherwise that is an InputError.
        pair: the second text of a pair, for models that compare two; empty for a single text.
        prompt_name: which of the model's prompts precedes the text; empty for the model's default.
    """

    text: str
    name: str = "text"
    truncate: bool = True
    pair: str = ""
    prompt_name: str = ""

    def __post_init__(self) -> None:
        if not self.text:
            raise InputError(self.name, "is empty; give at least one character")
        chars = len(self.text) + len(self.pair)
        if chars > MAX_TEXT_CHARS:
            raise InputError(
                self.name, f"has {chars} characters and at most {MAX_TEXT_CHARS} are taken: send it in parts"
            )
        for text in (self.text, self.pair):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise InputError(
                    self.name, f"holds half a surrogate pair at character {error.start}; send whole ones"
                ) from None


@dataclass(frozen=True, slots=True)
class TextRules:
    """What a model's files say about its texts.

    Attributes:
        prompts: what precedes a text, by name.
        default_prompt: the name of the one that precedes a text unless another is asked for; empty for none.
        pool_prompt: whether the prompt's tokens count in the pooling.
        lower_case: texts are lowered before the tokenizer reads them.
        strip: white space around a text is left out.
        cut_left: what does not fit is cut off at the beginning of a text rather than at its end.
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    pool_prompt: bool = True
    lower_case: bool = False
    strip: bool = False
    cut_left: bool = False


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
        vocab_size: token ids of the model; ``None`` where it has no table of them.
        rules: about the texts.
        padding: how texts share a batch; ``None`` until it is found out at the start.
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
    vocab_size: int | None = None
    rules: TextRules = field(default_factory=TextRules)
    padding: Padding | None = None


class EncoderCodec(Protocol):
    """The part of a tokenizer that encoders use."""

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]: ...

    def framed(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        """Return the tokens of a text or a pair with the special ones, and the token type of each."""


class Network(Protocol):
    """The part of an encoder that computes; one thread uses it at a time."""

    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        """Return one row of numbers for each row of tokens.

        Args:
            rows: of any lengths; shorter ones are padded.
            pad_left: pad before a row's tokens rather than after them.
        """


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
