"""Chooses tokens as OpenVINO GenAI's own sampler does, for the stage that runs without its pipeline.

The steps, their order, where they round to float32 and how a request's random numbers are drawn are those of
``Sampler`` and ``LogitProcessor`` in openvino.genai 2026.4 (``src/cpp/src/sampling``); a test compares the two. So one
seed gives one text from either, up to last bits: two scores that differ by less than that may change places. Only
presence and frequency penalties differ: here they are as documented, see ``sampling_config.needs_fallback``. What this
has in common with the other engines is in ``text.sampling``.
"""

from __future__ import annotations

import random
from typing import Any

import numpy

from pilotlight.engines.openvino.sampling_config import Rules
from pilotlight.engines.text.sampling import SamplingState
from pilotlight.engines.text.sampling_numpy import Scores, penalize

__all__ = ["GenAISampler", "twister"]

STATE_WORDS = 624  # of a Mersenne twister


class GenAISampler:
    """Chooses the tokens of one request.

    Args:
        rules: of the request.
        state: of the request; its stream is ``twister(rules.seed)``.
    """

    __slots__ = ("_rules", "_state")

    def __init__(self, rules: Rules, state: SamplingState) -> None:
        self._rules = rules
        self._state = state

    def choose(self, scores: Scores) -> int:
        """Return the next token.

        Args:
            scores: logits, float32 of shape (vocab_size,); overwritten.
        """
        penalize(scores, self._state)
        token = self._draw(scores) if self._rules.sampled else int(scores.argmax())
        self._state.record(token)
        return token

    def _draw(self, scores: Scores) -> int:
        rules = self._rules
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
        """Return a float32 in [0, 1) from one 32-bit number, as C++'s ``uniform_real_distribution`` makes it."""
        value = numpy.float32(self._state.stream.getrandbits(32)) / numpy.float32(2**32)
        return min(value, numpy.nextafter(numpy.float32(1), numpy.float32(0)))


def twister(seed: int) -> random.Random:
    """Return a Mersenne twister that is seeded as C++'s ``mt19937`` is by one number below 2**32, unlike Python's."""
    words = [seed]
    for place in range(1, STATE_WORDS):
        words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + place) % 2**32)
    generator = random.Random()  # noqa: S311 - sampling text, not keys
    generator.setstate((3, (*words, STATE_WORDS), None))
    return generator
