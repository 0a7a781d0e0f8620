"""The sampler against transformers' own processors: the same distribution, from a stream per request."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from pilotlight.engines.text.types import Sampling
from pilotlight.engines.torch.sampling import TorchSamplingState, choose
from pilotlight.errors import InputError

VOCAB = 64


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(VOCAB, generator=torch.Generator().manual_seed(3)) * 2


def pick(logits: torch.Tensor, samplings: list[Sampling]) -> list[int]:
    rows = [TorchSamplingState(sampling, [1, 2], [0]) for sampling in samplings]
    tokens: list[int] = choose(logits.expand(len(rows), -1), rows).argmax(dim=-1).tolist()
    return tokens


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.7, 10, 0.8), (1.5, 0, 0.6), (0.9, 5, 1.0)]
)
def test_frequencies_follow_transformers_distribution(
    logits: torch.Tensor, temperature: float, top_k: int, top_p: float
) -> None:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    expected = warpers(torch.zeros(1, 1, dtype=torch.long), logits[None].clone())[0].softmax(-1)
    draws = 20_000
    picked = pick(
        logits, [Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed) for seed in range(draws)]
    )
    observed = torch.bincount(torch.tensor(picked), minlength=VOCAB) / draws
    assert observed[expected == 0].sum() == 0  # nothing from outside the nucleus
    deviation = (expected * (1 - expected) / draws).sqrt()
    assert ((observed - expected).abs() <= 4.5 * deviation + 1e-9).all()


def test_a_row_does_not_depend_on_its_neighbors(logits: torch.Tensor) -> None:
    mine = Sampling(temperature=1.0, seed=11)
    alone = pick(logits, [mine])
    crowd = [Sampling(temperature=0), Sampling(temperature=2.0, top_k=0, seed=1), mine, Sampling(top_k=3, seed=2)]
    assert pick(logits, crowd)[2] == alone[0]


def test_greedy_is_the_arg_max_and_top_k_1_too(logits: torch.Tensor) -> None:
    best = int(logits.argmax())
    assert pick(logits, [Sampling(temperature=0), Sampling(top_k=1, seed=5), Sampling(top_p=0.0, seed=6)]) == [best] * 3


def test_repetition_penalty_is_transformers(logits: torch.Tensor) -> None:
    prompt = [3, 9, 9, 20, 41]
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([prompt]), logits[None].clone())[0]
    row = TorchSamplingState(Sampling(temperature=0, repetition_penalty=1.7), prompt, [0])
    assert int(choose(logits[None], [row]).argmax()) == int(expected.argmax())
    # and it holds for what was chosen: the same token does not win for ever
    chosen = [int(choose(logits[None], [row]).argmax()) for _ in range(5)]
    assert len(set(chosen)) > 1


def test_presence_and_frequency_penalties_count_output_only() -> None:
    flat = torch.zeros(1, 4)
    flat[0, 2] = 1.0
    presence = TorchSamplingState(Sampling(temperature=0, presence_penalty=1.5), [2, 2, 2], [])
    assert [int(choose(flat, [presence]).argmax()) for _ in range(2)] == [2, 0]
    frequency = TorchSamplingState(Sampling(temperature=0, frequency_penalty=0.4), [2], [])
    assert [int(choose(flat, [frequency]).argmax()) for _ in range(4)] == [2, 2, 2, 0]


def test_min_tokens_holds_back_the_end() -> None:
    scores = torch.tensor([[5.0, 1.0, 0.0]])
    row = TorchSamplingState(Sampling(temperature=0, min_tokens=2), [1], [0])
    assert [int(choose(scores, [row]).argmax()) for _ in range(3)] == [1, 1, 0]


def test_extreme_values_choose_a_token_and_fail_nobody(logits: torch.Tensor) -> None:
    best = int(logits.argmax())
    extreme = [Sampling(temperature=1e-300), Sampling(temperature=1e-5), Sampling(top_k=2**80, temperature=1e-4)]
    assert pick(logits, extreme) == [best] * 3
    broken = torch.full((2, VOCAB), float("nan"))
    rows = [TorchSamplingState(Sampling(), [1], [0]), TorchSamplingState(Sampling(top_k=0), [1], [0])]
    assert choose(broken, rows).shape == (2, VOCAB)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("min_tokens", -1),
        ("temperature", float("nan")),
        ("temperature", -0.1),
        ("top_p", 1.5),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("presence_penalty", float("inf")),
        ("frequency_penalty", float("nan")),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name}: is {value}; expected"):
        Sampling(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("stop", [("x",) * 65, ("x" * 1001,), ("",)])
def test_stop_sequences_are_bounded(stop: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="stop_sequences: takes at most 64 sequences of 1 to 1000 characters"):
        Sampling(stop=stop)


def test_padding_rows_are_left_alone(logits: torch.Tensor) -> None:
    scores = logits.expand(4, -1)
    out = choose(scores, [TorchSamplingState(Sampling(temperature=0), [1], [0])])
    assert out.shape == scores.shape
    assert int(out[0].argmax()) == int(logits.argmax())
