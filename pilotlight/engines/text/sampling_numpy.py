"""Chooses the next token of one request from scores in numpy, by the rules of ``text.sampling``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pilotlight.engines.text.sampling import SamplingState

__all__ = ["NumpySampler", "Scores", "penalize"]

Scores = NDArray[np.float32]
# Where every token is a candidate, so many are ranked at first: the choice is mostly among them, and ranking a whole
# vocabulary takes as long as a step of a small model.
RANKED_FIRST = 1024


def penalize(scores: Scores, state: SamplingState) -> None:
    """Apply the penalties and ``min_tokens``, in place.

    Args:
        scores: logits, shape (vocab_size,), with a place for every token of the prompt.
        state: of the request.
    """
    rules = state.sampling
    if rules.penalizes:
        ids = np.fromiter(state.counts.keys(), np.intp, len(state.counts))
        counts = np.fromiter(state.counts.values(), np.float32, len(state.counts))
        repetition = np.float32(rules.repetition_penalty)
        found = scores[ids]
        found = np.where(found > 0, found / repetition, found * repetition)
        taken = np.float32(rules.presence_penalty) * (counts > 0) + np.float32(rules.frequency_penalty) * counts
        scores[ids] = found - taken
    if banned := state.banned_ids:
        scores[banned] = -np.inf


class NumpySampler:
    """Chooses the tokens of one request.

    Args:
        state: of the request.
    """

    __slots__ = ("_state",)

    def __init__(self, state: SamplingState) -> None:
        self._state = state

    def choose(self, scores: Scores) -> int:
        """Return the next token.

        Args:
            scores: logits, shape (vocab_size,), with a place for every token of the prompt; overwritten.
        """
        penalize(scores, self._state)
        token = int(scores.argmax()) if self._state.sampling.greedy else self._draw(scores)
        self._state.record(token)
        return token

    def _draw(self, scores: Scores) -> int:
        """Draw a token from the ranked candidates, through the inverse of their cumulative distribution."""
        rules, size = self._state.sampling, scores.size
        uniform = self._state.uniform()
        candidates = self._state.candidates(size)
        cut = candidates < size
        count = candidates if cut else RANKED_FIRST
        highest = scores.max()
        with np.errstate(invalid="ignore"):  # scores that are NaN (after an overflow, say) give rank 0
            total = None if cut else np.exp((scores - highest) / rules.temperature).sum()
            while True:
                ids = _ranked(scores, min(count, size))
                shares = np.exp((scores[ids] - highest) / rules.temperature)
                shares /= shares.sum() if total is None else total
                sums = shares.cumsum()
                # A candidate is in the nucleus while those before it have not reached top_p; the first always is.
                inside = max(1, int((sums - shares < rules.top_p).sum()))
                whole = count >= candidates or inside < ids.size
                if whole or (rules.top_p == 1 and uniform < sums[-1]):
                    break
                count *= 8
        picked = int((sums[:inside] <= uniform * (sums[inside - 1] if whole else 1.0)).sum())
        return int(ids[min(picked, inside - 1)])


def _ranked(scores: Scores, count: int) -> NDArray[np.intp]:
    """Return the ``count`` tokens of the highest scores, the highest first."""
    found = np.argpartition(scores, scores.size - count)[scores.size - count :] if count < scores.size else None
    ids = np.arange(scores.size) if found is None else found
    return ids[np.lexsort((ids, -scores[ids]))]
