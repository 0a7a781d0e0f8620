"""scripts/train/train_demo.py: the parts that make a stopped run go on as if it had never stopped."""

from __future__ import annotations

import argparse
import inspect
from itertools import islice, pairwise

import pytest
import torch

from scripts.train.demo_data import stdlib_files, top_level_definitions, xz_bits_per_byte
from scripts.train.make_bench_model import train_tokenizer
from scripts.train.train_demo import (
    CONTEXT_TOKENS,
    TOKENS_PER_STEP,
    Corpus,
    Rates,
    bits_per_byte,
    new_model,
    window_plan,
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    texts = [inspect.getsource(module) for module in (argparse, inspect)] * 3
    return Corpus(texts, train_tokenizer(texts, 400), seed=1)


def test_a_resumed_run_sees_the_batches_it_would_have_seen(corpus: Corpus) -> None:
    plan = [256] * 40 + [512] * 40 + [1024] * 40
    whole = list(corpus.batches(plan, 0))
    assert len(whole) == len(plan)
    for first in (1, 39, 40, 41, 77, 119):
        (batch,) = islice(corpus.batches(plan, first), 1)
        assert torch.equal(batch, whole[first])


def test_a_batch_is_windows_of_the_planned_size(corpus: Corpus) -> None:
    for window in (256, 512, 1024):
        (batch,) = islice(corpus.batches([window], 0), 1)
        assert batch.shape == (TOKENS_PER_STEP // window, window + 1)


def test_windows_grow_to_the_context_and_the_beginning_of_a_longer_plan_is_the_same() -> None:
    plan = window_plan([100])
    assert plan == sorted(plan)
    assert plan[0] < plan[-1] == CONTEXT_TOKENS
    assert window_plan([200])[:50] == plan[:50]


def test_a_later_cycle_goes_on_from_the_one_before() -> None:
    plan = window_plan([100, 50])
    assert plan[:100] == window_plan([100])
    assert plan[100:] == sorted(plan[100:])
    assert plan[0] < plan[100] < plan[-1] == CONTEXT_TOKENS
    factors = Rates().factors([1000, 500])
    assert factors[:1000] == Rates().factors([1000])
    assert factors[1000:] == Rates().factors([500])


def test_rates_warm_up_stay_and_decay_to_zero() -> None:
    rates = Rates()
    factors = rates.factors([1000])
    assert factors[0] < factors[20] < factors[40] == 1.0 == factors[500]
    assert 0.0 < factors[-1] < 0.01
    assert all(a >= b for a, b in pairwise(factors[500:]))


def test_held_out_files_are_not_trained_on() -> None:
    train, held_out = stdlib_files()
    assert not set(train) & set(held_out)
    assert len(held_out) > 20
    assert stdlib_files() == (train, held_out)


def test_definitions_come_with_their_decorators() -> None:
    source = "import os\n\n@cache\ndef f():\n    return 1\n\nclass C:\n    x = 1\n\nf()\n"
    assert top_level_definitions(source) == ["@cache\ndef f():\n    return 1\n", "class C:\n    x = 1\n"]
    assert top_level_definitions("not python at all (") == []


def test_bits_per_byte_of_a_model_that_knows_nothing_is_that_of_its_vocabulary() -> None:
    model = new_model(0)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    texts = ["def main(args):\n    return 0\n" * 200]
    tokenizer = train_tokenizer(texts, 300)
    tokens = len(tokenizer.encode(texts[0]).ids)
    expected = tokens * 12 / len(texts[0])  # 4096 equally likely tokens are 12 bits each
    assert bits_per_byte(model, tokenizer, texts) == pytest.approx(expected, rel=1e-4)


def test_xz_is_small_for_what_repeats() -> None:
    assert xz_bits_per_byte(["abc" * 10_000]) < 0.1
