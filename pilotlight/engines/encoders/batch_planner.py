"""Plans the next batch of the waiting texts from their lengths and from the cost of a batch on this machine.

Every row of a batch is padded to its longest one. Where a call is expensive and a token cheap (a GPU), large batches
pay whatever their lengths; where a token is expensive (a CPU), padding may cost more than the calls that it saves. So
the cost of a batch is measured at the start (``fit``), and batches are cut where that makes them cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.config.encoder import DEFAULT_ENCODER

__all__ = ["BatchLimits", "Cost", "fit", "next_batch", "partition", "wait_s"]

# A batch is chosen among so many of the oldest texts, in multiples of the largest batch: enough to find texts of the
# same length, and quick to plan.
WINDOW = 4


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of a batch.

    Attributes:
        max_rows: texts at most.
        max_tokens: padding included, at most; a single text may have more.
        max_wait_s: a text waits at most so long for others to join, and only where joining saves time.
        equal_lengths: only texts with the same number of tokens share a batch.
    """

    max_rows: int = DEFAULT_ENCODER.max_rows
    max_tokens: int = 16384
    max_wait_s: float = DEFAULT_ENCODER.max_wait_s
    equal_lengths: bool = False

    def __post_init__(self) -> None:
        if self.max_rows < 1 or self.max_tokens < 1 or not self.max_wait_s >= 0:
            raise ValueError(f"{self} allows no batch; this is a bug: the caller checks what users give")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a batch: for the call, and for each token, padding included.

    Attention costs more per token in a long row; that is left out, as it would only make padding more expensive.
    """

    call_s: float
    token_s: float

    def of(self, rows: int, longest: int) -> float:
        return self.call_s + self.token_s * rows * longest


def fit(samples: Sequence[tuple[int, float]]) -> Cost:
    """Fit a cost to measurements: least squares of the relative errors, without negative costs.

    Args:
        samples: (tokens of a batch, padding included; seconds that it took), of two numbers of tokens at least.
    """
    weights = [1 / took_s**2 for _, took_s in samples]
    total = sum(weights)
    mean_tokens = sum(w * tokens for w, (tokens, _) in zip(weights, samples, strict=True)) / total
    mean_s = sum(w * took_s for w, (_, took_s) in zip(weights, samples, strict=True)) / total
    spread = sum(w * (tokens - mean_tokens) ** 2 for w, (tokens, _) in zip(weights, samples, strict=True))
    joint = sum(
        w * (tokens - mean_tokens) * (took_s - mean_s) for w, (tokens, took_s) in zip(weights, samples, strict=True)
    )
    token_s = max(0.0, joint / spread)
    call_s = mean_s - token_s * mean_tokens
    if call_s < 0:  # it grows faster than proportionally: then a call costs nothing
        return Cost(0.0, mean_s / mean_tokens)
    return Cost(call_s, token_s)


def partition(lengths: Sequence[int], cost: Cost, limits: BatchLimits) -> list[list[int]]:
    """Divide all texts into the batches that are cheapest together, as lists of indices.

    In a cheapest division each batch is a run of the texts sorted by length, so dynamic programming finds it: the
    cheapest batches of the first n texts extend those of fewer.

    Args:
        lengths: tokens of each text.
        cost: of a batch.
        limits: of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    cheapest = [0.0]  # of the first n texts
    begins: list[int] = []  # the first text of the last of those batches
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        rows = min(end, limits.max_rows, max(1, limits.max_tokens // longest))
        if limits.equal_lengths:
            rows = next((n for n in range(1, rows) if lengths[order[end - 1 - n]] != longest), rows)
        # Of equally cheap ones that with the larger batch.
        took_s, begin = min((cheapest[end - n] + cost.of(n, longest), end - n) for n in range(rows, 0, -1))
        cheapest.append(took_s)
        begins.append(begin)
    batches = []
    end = len(order)
    while end:
        batches.append(order[begins[end - 1] : end])
        end = begins[end - 1]
    return batches[::-1]


def next_batch(lengths: Sequence[int], cost: Cost, limits: BatchLimits) -> list[int]:
    """Return the batch to run now: the one with the oldest text, so that every text gets its turn.

    Args:
        lengths: tokens of each waiting text, the oldest first; not empty.
        cost: of a batch.
        limits: of a batch.
    """
    window = lengths[: WINDOW * limits.max_rows]
    return next(batch for batch in partition(window, cost, limits) if 0 in batch)


def wait_s(waiting: int, oldest_s: float, cost: Cost, limits: BatchLimits) -> float:
    """Return how much longer to wait for further texts before a batch is formed.

    Joining a batch saves a call, so no text waits longer for that than a call takes.

    Args:
        waiting: texts.
        oldest_s: how long the oldest of them has waited.
        cost: of a batch.
        limits: of a batch.
    """
    if waiting >= limits.max_rows:
        return 0.0
    return max(0.0, min(limits.max_wait_s, cost.call_s) - oldest_s)
