"""The sampler over numpy beside the one over torch: the same scores and seeds choose the same tokens."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from pilotlight.engines.text.sampling_numpy import Sampler
from pilotlight.engines.text.types import Sampling
from pilotlight.engines.torch import sampling as torch_sampling

VOCABULARY = 3000
PROMPT = (3, 5, 5, 299)
EOS = (0, 7)

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
)


@pytest.mark.parametrize("rules", RULES)
def test_it_chooses_as_torch_does(rules: dict[str, Any]) -> None:
    dice = np.random.default_rng(1)
    different = 0
    for seed in range(10):
        sampling = Sampling(seed=seed, **rules)
        ours = Sampler(sampling, PROMPT, EOS)
        theirs = torch_sampling.Row(sampling, PROMPT, EOS)
        for _ in range(20):
            scores = (2 * dice.standard_normal(VOCABULARY)).astype(np.float32)
            expected = int(torch_sampling.choose(torch.from_numpy(scores.copy())[None], [theirs]).argmax())
            different += ours.choose(scores) != expected
    # Of 200. A random number may fall on the boundary of two candidates, to the last bits of float32.
    assert different <= 1


def test_neither_eos_token_comes_before_min_tokens() -> None:
    sampler = Sampler(Sampling(temperature=0, min_tokens=2), PROMPT, EOS)
    chosen = []
    for _ in range(3):
        scores = np.zeros(VOCABULARY, np.float32)
        scores[[0, 7, 9]] = 3, 2, 1
        chosen.append(sampler.choose(scores))
    assert chosen == [9, 9, 0]


@pytest.mark.parametrize("rules", RULES)
def test_a_model_that_gives_no_numbers_still_gets_a_token(rules: dict[str, Any]) -> None:
    for broken in (np.nan, np.inf, -np.inf):
        sampler = Sampler(Sampling(**rules), PROMPT, EOS)
        assert 0 <= sampler.choose(np.full(VOCABULARY, broken, np.float32)) < VOCABULARY


def test_shares_of_the_draws_are_those_of_the_scores() -> None:
    scores = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    draws = [
        Sampler(Sampling(temperature=1, top_p=1, top_k=0, seed=seed), (1,), ()).choose(scores.copy())
        for seed in random.Random(0).sample(range(10**6), 2000)
    ]
    shares = [draws.count(token) / len(draws) for token in range(3)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.04)  # standard deviations of 0.011; the seeds are fixed
