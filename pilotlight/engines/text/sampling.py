"""How every engine chooses a token: the rules, their order, and the random numbers.

From the scores (logits) of one position to its token, with the names of ``Sampling``:

1. ``repetition_penalty``: the scores of tokens that are in the prompt or the output are divided by it where they are
   positive, and multiplied by it elsewhere.
2. ``presence_penalty`` and ``frequency_penalty``: the first is subtracted from the score of every token in the output,
   the second as often as the output has the token. Both may be negative.
3. ``min_tokens``: before the output has so many tokens, those that end a text have the score -inf.
4. ``temperature`` 0: the highest score wins, of equal ones the lowest token id, and no random number is drawn.
5. ``top_k``: that many highest scores remain, ranked.
6. ``temperature``: the scores are divided by it; their softmax is the candidates' probability.
7. ``top_p``: a candidate remains if the probabilities of those ranked before it sum to less; the first always does.
8. One number, uniform in [0, 1), is multiplied by the sum of the remaining probabilities; the token is the candidate in
   whose part of their cumulative sum it falls.

A request has a random stream of its own, seeded by ``seed``, and takes one number from it for each token that is drawn.
So its text does not depend on what else is in the batch. numpy and torch take ``random.Random(seed).random()``, so one
seed gives one text from either. OpenVINO GenAI draws inside its pipeline: a 32-bit Mersenne twister with another
seeding, and candidates in the order of the vocabulary where neither ``top_k`` nor ``top_p`` ranks them. Both stages of
the openvino engine do it in that way (``openvino.sampler``).

The implementations are ``text.sampling_numpy``, ``torch.sampling`` and ``openvino.sampler``;
``tests/engines/test_sampling.py`` feeds the same scores to all of them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from pilotlight.engines.text.types import Sampling

__all__ = ["SamplingState"]


class SamplingState:
    """What sampling keeps of a request from one token to the next, whatever computes the scores.

    Args:
        sampling: the rules.
        prompt_ids: tokens of the prompt, for ``repetition_penalty``.
        eos_ids: tokens that end a text, for ``min_tokens``.
        stream: of random numbers; by default the one that ``sampling.seed`` begins.

    Attributes:
        counts: every token of the prompt and the output, and how often the output has it.
        output_tokens: tokens recorded so far.
    """

    __slots__ = ("counts", "eos_ids", "output_tokens", "sampling", "stream")

    def __init__(
        self,
        sampling: Sampling,
        prompt_ids: Sequence[int],
        eos_ids: Collection[int],
        stream: random.Random | None = None,
    ) -> None:
        self.sampling = sampling
        self.eos_ids = list(eos_ids)
        self.stream = stream or random.Random(sampling.seed)  # noqa: S311 - sampling text, not keys
        self.counts: dict[int, int] = dict.fromkeys(prompt_ids, 0)
        self.output_tokens = 0

    @property
    def banned_ids(self) -> list[int]:
        """Tokens that must not be chosen now, because of ``min_tokens``."""
        return self.eos_ids if self.output_tokens < self.sampling.min_tokens else []

    def candidates(self, vocab_size: int) -> int:
        """Return how many tokens ``top_k`` leaves of ``vocab_size``."""
        return min(self.sampling.top_k or vocab_size, vocab_size)

    def uniform(self) -> float:
        """Return the next number of the stream, in [0, 1); one for each token that is drawn."""
        return self.stream.random()

    def record(self, token: int) -> None:
        """Count a token that was chosen."""
        self.output_tokens += 1
        self.counts[token] = self.counts.get(token, 0) + 1
