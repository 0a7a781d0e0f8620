"""Which waiting texts make up the next batch: decided from their lengths and from what a batch costs on this machine.

Every row of a batch is padded to its longest one.  Where a call is dear and a token cheap (a GPU) large batches pay
whatever their lengths; where a token is dear (a CPU) padding may cost more than the calls that it saves.  So nothing is
assumed: the cost of a batch is measured at the start (``fit``), and batches are cut where that makes them cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.config.encoder import DEFAULT_ENCODER

__all__ = ["Cost", "Limits", "fit", "next_batch", "partition", "wait_s"]

# So many of the oldest texts are looked at for one batch, as multiples of the largest batch: enough to find company of
# the same length, and little to decide about.
WINDOW = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a batch.

    Attributes:
        max_rows: texts at most.
        max_tokens: padding included, at most; a single text may have more.
        max_wait_s: a text waits at most so long for company, and only as long as company would save time.
    """

    max_rows: int = DEFAULT_ENCODER.max_rows
    max_tokens: int = 16384
    max_wait_s: float = DEFAULT_ENCODER.max_wait_s

    def __post_init__(self) -> None:
        if self.max_rows < 1 or self.max_tokens < 1 or not self.max_wait_s >= 0:
            raise ValueError(f"{self} allows no batch; this is a bug: the caller checks what users give")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a batch: so many for the call, and so many for each token, padding included.

    That attention costs more per token in a long row is left out: it would only make padding look dearer.
    """

    call_s: float
    token_s: float

    def of(self, rows: int, longest: int) -> float:
        return self.call_s + self.token_s * rows * longest


def fit(samples: Sequence[tuple[int, float]]) -> Cost:
    """The cost that fits measurements best: the least squares of the relative errors, and nothing below zero.

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
    if call_s < 0:  # it grows faster than in proportion: then calls cost nothing
        return Cost(0.0, mean_s / mean_tokens)
    return Cost(call_s, token_s)


def partition(lengths: Sequence[int], cost: Cost, limits: Limits) -> list[list[int]]:
    """All texts in the batches that are cheapest together, as lists of indices; each batch has similar lengths.

    Sorted by length, a cheapest way has no batch that reaches across another; so every way to cut the sorted row is
    looked at, by the cheapest way to cut what comes before.

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
        # Of equally cheap ways the one with the larger batch.
        took_s, begin = min((cheapest[end - n] + cost.of(n, longest), end - n) for n in range(rows, 0, -1))
        cheapest.append(took_s)
        begins.append(begin)
    batches = []
    end = len(order)
    while end:
        batches.append(order[begins[end - 1] : end])
        end = begins[end - 1]
    return batches[::-1]


def next_batch(lengths: Sequence[int], cost: Cost, limits: Limits) -> list[int]:
    """The batch to run now: the one with the text that has waited longest, so that none waits for ever.

    Args:
        lengths: tokens of each waiting text, the oldest first; not empty.
        cost: of a batch.
        limits: of a batch.
    """
    window = lengths[: WINDOW * limits.max_rows]
    return next(batch for batch in partition(window, cost, limits) if 0 in batch)


def wait_s(waiting: int, oldest_s: float, cost: Cost, limits: Limits) -> float:
    """How much longer to wait for company before a batch is formed; 0 is not at all.

    Joining a batch saves the call, so nobody waits longer for it than a call takes.

    Args:
        waiting: texts.
        oldest_s: for how long the oldest of them has waited.
        cost: of a batch.
        limits: of a batch.
    """
    if waiting >= limits.max_rows:
        return 0.0
    return max(0.0, min(limits.max_wait_s, cost.call_s) - oldest_s)
