"""Choosing a token from scores, step by step as OpenVINO GenAI's sampler does it, for the stage that runs without it.

The steps, their order, where they round to float32 and how a request's own random numbers are drawn are those of
``Sampler`` and ``LogitProcessor`` in openvino.genai 2026.4 (``src/cpp/src/sampling``); a test compares the two. So one
seed gives one text from either, up to last bits: two scores that differ by less than that may change places. Only
presence and frequency penalties are done otherwise, as documented: see ``openvino_sampling.is_apart``.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

from pilotlight.engines.openvino.sampling_config import Rules

__all__ = ["Sampler"]

WORDS = 624  # of a Mersenne twister's state


class Sampler:
    """Chooses the tokens of one request.

    Args:
        numpy: the module.
        rules: of the request.
        prompt_ids: its prompt, whose tokens ``repetition_penalty`` counts, and it alone.
        eos_ids: tokens that may not come before ``rules.min_tokens``.
    """

    def __init__(self, numpy: Any, rules: Rules, prompt_ids: Sequence[int], eos_ids: Collection[int]) -> None:
        self._numpy = numpy
        self._rules = rules
        self._seen = set(prompt_ids)
        self._counts: dict[int, int] = {}  # how often the output has each of its tokens
        self._eos_ids = list(eos_ids)
        self._chosen = 0
        self._random = twister(rules.seed)

    def choose(self, scores: Any) -> int:
        """The next token.

        Args:
            scores: float32 of shape (vocabulary,); overwritten.
        """
        numpy, rules = self._numpy, self._rules
        if self._chosen < rules.min_tokens:
            scores[self._eos_ids] = -numpy.inf
        if rules.repetition_penalty != 1.0:
            seen = list(self._seen)
            penalty = float(numpy.float32(rules.repetition_penalty))
            values = scores[seen].astype("float64")
            scores[seen] = numpy.where(values >= 0, values / penalty, values * penalty)
        if self._counts and (rules.presence_penalty or rules.frequency_penalty):
            counts = numpy.fromiter(self._counts.values(), "float32")
            scores[list(self._counts)] -= rules.presence_penalty + rules.frequency_penalty * counts
        token = self._draw(scores) if rules.sampled else int(scores.argmax())
        self._chosen += 1
        self._seen.add(token)
        self._counts[token] = self._counts.get(token, 0) + 1
        return token

    def _draw(self, scores: Any) -> int:
        numpy, rules = self._numpy, self._rules
        tokens = numpy.argpartition(scores, -rules.top_k)[-rules.top_k :] if rules.top_k else None
        values = scores if tokens is None else scores[tokens]
        scale = numpy.float32(1) / numpy.float32(rules.temperature)
        shares = numpy.exp((values - values.max()) * scale)
        shares /= shares.sum()
        if rules.top_p < 1:
            order = numpy.argsort(-shares, kind="stable")
            sums = numpy.cumsum(shares[order])
            order = order[: int(numpy.searchsorted(sums, rules.top_p, side="right")) + 1]
            tokens = order if tokens is None else tokens[order]
            shares = shares[order]
        sums = numpy.cumsum(shares)
        place = int(numpy.searchsorted(sums, sums[-1] * self._uniform(), side="right"))
        place = min(place, len(sums) - 1)
        return place if tokens is None else int(tokens[place])

    def _uniform(self) -> Any:
        """A float32 from 0 to just below 1, from one 32-bit number, as C++'s ``uniform_real_distribution`` makes it."""
        float32 = self._numpy.float32
        value = float32(self._random.getrandbits(32)) / float32(2**32)
        return min(value, self._numpy.nextafter(float32(1), float32(0)))


def twister(seed: int) -> random.Random:
    """A Mersenne twister seeded as C++'s ``mt19937`` is by one number below 2**32, not as Python does it."""
    words = [seed]
    for place in range(1, WORDS):
        words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + place) % 2**32)
    generator = random.Random()  # noqa: S311 - it is for text, not for secrets
    generator.setstate((3, (*words, WORDS), None))
    return generator
