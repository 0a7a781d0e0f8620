"""Every sampler gets the same scores and the same random numbers, and chooses what the rules in plain Python choose."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pilotlight.engines.openvino.sampler import GenAISampler, twister
from pilotlight.engines.openvino.sampling_config import rules_of
from pilotlight.engines.text.sampling import SamplingState
from pilotlight.engines.text.sampling_numpy import NumpySampler, Scores
from pilotlight.engines.text.types import Sampling
from pilotlight.engines.torch.sampling import TorchSamplingState, choose

VOCABULARY = 1500  # more than a numpy sampler ranks at first
PROMPT = (3, 5, 5, 299)
EOS = (0, 7)
TOKENS = 8

RULES: tuple[dict[str, Any], ...] = (
    {"temperature": 0},
    {"temperature": 1e-6},
    {"temperature": 0, "repetition_penalty": 1.7},
    {"temperature": 0, "repetition_penalty": 0.6, "min_tokens": 20},
    {"temperature": 0, "presence_penalty": 1.5, "frequency_penalty": -0.3},
    {"temperature": 0.7},
    {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
    {"temperature": 2.0, "top_k": 0, "top_p": 0.4},
    {"temperature": 50.0, "top_k": 0, "top_p": 1.0},
    {"temperature": 50.0, "top_k": 0, "top_p": 0.8},
    {"temperature": 1.0, "top_k": 2000, "top_p": 0.99},
    {"temperature": 5.0, "top_k": 10**9, "top_p": 0.9},
    {"temperature": 3.0, "top_k": 7, "top_p": 1.0},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 1.0, "top_p": 0.0},
    {"temperature": 100.0, "repetition_penalty": 1.3, "presence_penalty": 2.0, "frequency_penalty": 2.0},
    {
        "temperature": 9.0,
        "repetition_penalty": 0.7,
        "presence_penalty": -2.0,
        "frequency_penalty": 0.5,
        "min_tokens": 9,
    },
)

Chooser = Callable[[Scores], int]


class Shared32(random.Random):
    """The stream of a seed, for a sampler that takes 32 bits of each number."""

    def getrandbits(self, k: int) -> int:
        assert k == 32
        return int(self.random() * 2**32)


def numpy_chooser(sampling: Sampling) -> Chooser:
    return NumpySampler(SamplingState(sampling, PROMPT, EOS)).choose


def torch_chooser(sampling: Sampling) -> Chooser:
    state = TorchSamplingState(sampling, PROMPT, EOS)
    return lambda scores: int(choose(torch.from_numpy(scores)[None], [state]).argmax())


def genai_chooser(sampling: Sampling) -> Chooser:
    rules = rules_of(sampling, max_tokens=10**6, eos_ids=EOS, vocab_size=VOCABULARY)
    return GenAISampler(rules, SamplingState(sampling, PROMPT, EOS, Shared32(sampling.seed))).choose


CHOOSERS = {"numpy": numpy_chooser, "torch": torch_chooser, "genai": genai_chooser}


class PlainPython:
    """The rules as ``text.sampling`` states them, in double precision."""

    def __init__(self, sampling: Sampling, *, vocabulary_order: bool) -> None:
        self.rules = sampling
        self.vocabulary_order = vocabulary_order
        self.stream = random.Random(sampling.seed)
        self.output: list[int] = []

    def __call__(self, scores: list[float]) -> int:
        self._penalize(scores)
        greedy = self.rules.temperature < 1e-5
        self.output.append(scores.index(max(scores)) if greedy else self._draw(scores))
        return self.output[-1]

    def _penalize(self, scores: list[float]) -> None:
        rules = self.rules
        for token in {*PROMPT, *self.output}:
            scores[token] *= 1 / rules.repetition_penalty if scores[token] > 0 else rules.repetition_penalty
        for token, count in Counter(self.output).items():
            scores[token] -= rules.presence_penalty + rules.frequency_penalty * count
        for token in EOS if len(self.output) < rules.min_tokens else ():
            scores[token] = -math.inf

    def _draw(self, scores: list[float]) -> int:
        rules = self.rules
        ranked = sorted(range(len(scores)), key=lambda token: (-scores[token], token))[: rules.top_k or None]
        powers = [math.exp((scores[token] - scores[ranked[0]]) / rules.temperature) for token in ranked]
        left = [power / math.fsum(powers) for power in powers]
        before, inside = 0.0, []
        for token, share in zip(ranked, left, strict=True):
            if before < rules.top_p or not inside:
                inside.append((token, share))
            before += share
        if self.vocabulary_order and len(inside) == len(scores):
            inside.sort()
        goal, total = self.stream.random() * math.fsum(share for _, share in inside), 0.0
        for token, share in inside:
            total += share
            if total > goal:
                return token
        return inside[-1][0]


@pytest.mark.parametrize("rules", RULES)
def test_all_choose_what_the_rules_say(rules: dict[str, Any]) -> None:
    dice = np.random.default_rng(1)
    rows = [(2 * dice.standard_normal(VOCABULARY)).astype(np.float32) for _ in range(TOKENS)]
    different = Counter[str]()
    for seed in range(3):
        sampling = Sampling(seed=seed, **rules)
        ranked = unranked = outputs(PlainPython(sampling, vocabulary_order=False), rows)
        if sampling.top_k == 0 and sampling.top_p == 1:
            unranked = outputs(PlainPython(sampling, vocabulary_order=True), rows)
        for kind, chooser in CHOOSERS.items():
            found = [choose_token(row.copy()) for choose_token in [chooser(sampling)] for row in rows]
            different[kind] += found != (unranked if kind == "genai" else ranked)
    # A number may fall on the boundary of two candidates, to the last bits of float32.
    assert max(different.values()) <= 1, different


def outputs(plain: PlainPython, rows: list[Scores]) -> list[int]:
    return [plain(row.tolist()) for row in rows]


@pytest.mark.parametrize("rules", [{"temperature": 0.7}, {"temperature": 0}])
def test_a_token_that_is_drawn_takes_one_number_of_the_seeds_stream(rules: dict[str, Any]) -> None:
    state = SamplingState(Sampling(seed=5, **rules), PROMPT, EOS)
    sampler = NumpySampler(state)
    for _ in range(3):
        sampler.choose(np.zeros(VOCABULARY, np.float32))
    expected = random.Random(5)
    for _ in range(3 if rules["temperature"] else 0):
        expected.random()
    assert state.uniform() == expected.random()


def test_the_twister_is_that_of_cpp() -> None:
    twisted = twister(5489)  # the default seed of mt19937
    numbers = [twisted.getrandbits(32) for _ in range(10_000)]
    assert numbers[-1] == 4123659995  # the C++ standard's own check, [rand.predef]


@pytest.mark.parametrize("kind", CHOOSERS)
def test_no_token_that_ends_the_text_comes_before_min_tokens(kind: str) -> None:
    chooser = CHOOSERS[kind](Sampling(temperature=0, min_tokens=2))
    chosen = []
    for _ in range(3):
        scores = np.zeros(VOCABULARY, np.float32)
        scores[[0, 7, 9]] = 3, 2, 1
        chosen.append(chooser(scores))
    assert chosen == [9, 9, 0]


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("rules", RULES)
def test_scores_that_are_no_numbers_still_give_a_token(kind: str, rules: dict[str, Any]) -> None:
    for broken in (np.nan, np.inf, -np.inf):
        token = CHOOSERS[kind](Sampling(**rules))(np.full(VOCABULARY, broken, np.float32))
        assert 0 <= token < VOCABULARY


def test_shares_of_the_draws_are_those_of_the_scores() -> None:
    scores = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    draws = [
        NumpySampler(SamplingState(Sampling(temperature=1, top_p=1, top_k=0, seed=seed), (1,), ())).choose(
            scores.copy()
        )
        for seed in random.Random(0).sample(range(10**6), 2000)
    ]
    shares = [draws.count(token) / len(draws) for token in range(3)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.04)  # standard deviations of 0.011; the seeds are fixed
