"""An encoder without a model, for tests: its numbers are counts of characters."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import BatchingEncoder
from pilotlight.engines.encoders.types import Activation, EncoderInfo, Padding, Rows, Task, TextRules
from pilotlight.engines.text.fake import CharacterCodec

__all__ = ["FakeEncoder", "FakeNetwork"]


class FakeNetwork:
    """Counts how often each label's first character occurs in a row.

    Args:
        labels: not empty.
        before: called with every batch before it is answered, on the engine's thread: wait in it to hold the engine,
            raise in it to fail the batch.

    Attributes:
        batches: the rows of every batch so far.
    """

    def __init__(self, labels: tuple[str, ...], before: Callable[[Rows], None] = lambda rows: None) -> None:
        self._characters = [ord(label[0]) for label in labels]
        self._before = before
        self.batches: list[Rows] = []

    def compute(self, rows: Rows, *, pad_left: bool = False) -> list[list[float]]:
        self.batches.append(rows)
        self._before(rows)
        return [[float(list(row.ids).count(character)) for character in self._characters] for row in rows]


class FakeEncoder(BatchingEncoder):
    """A character is a token, and a text's numbers are how often it has the first letter of each label.

    Args:
        labels: such as ``("a", "b")``; they name the scores of a classifier and the directions of an embedder.
        before: as in FakeNetwork.
        network: computes instead of a FakeNetwork of ``labels`` and ``before``.
        task, activation, max_tokens, queue_size, limits, cost, rules, padding: as in EncoderInfo.

    Attributes:
        network: with the batches that it has computed.
    """

    def __init__(
        self,
        labels: tuple[str, ...] = ("a", "b"),
        *,
        before: Callable[[Rows], None] = lambda rows: None,
        network: FakeNetwork | None = None,
        task: Task = Task.CLASSIFY,
        activation: Activation = Activation.SOFTMAX,
        max_tokens: int = 100,
        queue_size: int = 64,
        limits: BatchLimits | None = None,
        cost: Cost | None = None,
        rules: TextRules | None = None,
        padding: Padding | None = Padding.RIGHT,
    ) -> None:
        self.network = network or FakeNetwork(labels, before)
        info = EncoderInfo(
            engine="fake",
            model="fake",
            device="cpu",
            dtype="float32",
            task=task,
            max_tokens=max_tokens,
            labels=labels if task is Task.CLASSIFY else (),
            activation=activation,
            queue_size=queue_size,
            limits=limits or BatchLimits(),
            cost=cost or Cost(call_s=0.001, token_s=0.0),
            rules=rules or TextRules(),
            padding=padding,
        )
        super().__init__(self.network, CharacterCodec(), info)
