"""Choosing the next token of one request from scores in numpy: the rules and the random numbers of ``torch_sampling``.

Where two engines compute the same scores, one seed gives one text from either, up to floating-point ties.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from pilotlight.engines.text.types import Sampling

__all__ = ["Sampler"]

Scores = NDArray[np.float32]
# Where every token is a candidate, so many are ranked at first: mostly the choice falls among them, and ranking a whole
# vocabulary takes as long as a step of a small model.
RANKED_FIRST = 1024


class Sampler:
    """Chooses the tokens of one request.

    Args:
        sampling: its rules.
        prompt_ids: tokens of the prompt; counted by ``repetition_penalty``.
        eos_ids: tokens not to be chosen before ``min_tokens``.
    """

    __slots__ = ("_chosen", "_eos_ids", "_random", "_sampling", "_seen")

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int], eos_ids: Collection[int]) -> None:
        self._sampling = sampling
        self._eos_ids = list(eos_ids)
        self._random = random.Random(sampling.seed)  # noqa: S311 - sampling text, not keys
        self._chosen = 0
        self._seen = dict.fromkeys(prompt_ids, 0)  # tokens, and how often the output has each

    def choose(self, scores: Scores) -> int:
        """The next token.

        Args:
            scores: logits, shape (vocab_size,), with a place for every token that was given; overwritten.
        """
        self._constrain(scores)
        token = int(scores.argmax()) if self._sampling.greedy else self._draw(scores)
        self._chosen += 1
        self._seen[token] = self._seen.get(token, 0) + 1
        return token

    def _constrain(self, scores: Scores) -> None:
        """Penalties and ``min_tokens``, in place."""
        rules = self._sampling
        if rules.penalizes:
            ids = np.fromiter(self._seen.keys(), np.intp)
            counts = np.fromiter(self._seen.values(), np.float32)
            found = scores[ids]
            found = np.where(found > 0, found / rules.repetition_penalty, found * rules.repetition_penalty)
            scores[ids] = found - (rules.presence_penalty * (counts > 0) + rules.frequency_penalty * counts)
        if self._chosen < rules.min_tokens:
            scores[self._eos_ids] = -np.inf

    def _draw(self, scores: Scores) -> int:
        """By temperature, top_k and top_p, through the inverse of the cumulative distribution of ranked candidates."""
        rules, size = self._sampling, scores.size
        uniform = self._random.random()
        cut = 0 < rules.top_k < size
        candidates, count = (rules.top_k, rules.top_k) if cut else (size, RANKED_FIRST)
        highest = scores.max()
        with np.errstate(invalid="ignore"):  # a model that gives no numbers (an overflow, say) gets rank 0
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
    """The ``count`` tokens of the highest scores, the highest first."""
    found = np.argpartition(scores, scores.size - count)[scores.size - count :] if count < scores.size else None
    ids = np.arange(scores.size) if found is None else found
    return ids[np.lexsort((ids, -scores[ids]))]
