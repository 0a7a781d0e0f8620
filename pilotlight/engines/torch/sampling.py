"""Chooses the next tokens of many requests at once in torch, by the rules of ``text.sampling``.

The choice is written into the scores (the chosen token gets 0, all others -inf), so that whatever takes the arg-max
afterwards (transformers' continuous batching, or ``generate``) takes the token chosen here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from pilotlight.engines.text.sampling import SamplingState
from pilotlight.engines.text.types import Sampling

__all__ = ["TorchSamplingState", "choose"]


class TorchSamplingState(SamplingState):
    """The sampling state of one request, with its counts on the device for requests that have penalties."""

    __slots__ = ("_counts", "_seen")

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int], eos_ids: Collection[int]) -> None:
        super().__init__(sampling, prompt_ids, eos_ids)
        self._seen: torch.Tensor | None = None
        self._counts: torch.Tensor | None = None

    def tables(self, vocab_size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (tokens in the prompt or the output, occurrences in the output), each of shape (vocab_size,)."""
        if self._seen is None or self._counts is None:
            # A prompt may hold tokens that have an embedding and no score.
            counts = {token: count for token, count in self.counts.items() if token < vocab_size}
            ids = torch.tensor(list(counts), dtype=torch.long, device=device)
            self._seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
            self._seen[ids] = True
            self._counts = torch.zeros(vocab_size, device=device)
            self._counts[ids] = torch.tensor(list(counts.values()), dtype=torch.float32, device=device)
        return self._seen, self._counts

    def record(self, token: int) -> None:
        super().record(token)
        if self._seen is not None and self._counts is not None:
            self._seen[token] = True
            self._counts[token] += 1


def choose(scores: torch.Tensor, states: Sequence[TorchSamplingState]) -> torch.Tensor:
    """Make the arg-max of every row the token that its request's rules choose.

    Args:
        scores: logits, float32, shape (at least len(states), vocab_size); further rows are padding.
        states: of the requests, in the order of the rows.

    Returns:
        A tensor of the shape of ``scores``.
    """
    scores = scores.clone()
    for i, state in enumerate(states):
        _penalize(scores[i], state)
    tokens = scores[: len(states)].argmax(dim=-1)
    drawn = [i for i, state in enumerate(states) if not state.sampling.greedy]
    vocab_size = scores.shape[-1]
    # Rows with few candidates and rows with the whole vocabulary cost too differently to be computed together.
    for group in (
        [i for i in drawn if states[i].candidates(vocab_size) < vocab_size],
        [i for i in drawn if states[i].candidates(vocab_size) == vocab_size],
    ):
        if group:
            tokens[group] = _draw(scores[group], [states[i] for i in group])
    forced = torch.full_like(scores, -torch.inf)
    forced[: len(states)].scatter_(1, tokens[:, None], 0.0)
    for state, token in zip(states, tokens.tolist(), strict=True):
        state.record(token)
    return forced


def _penalize(scores: torch.Tensor, state: TorchSamplingState) -> None:
    """Apply the penalties and ``min_tokens``, in place; ``scores`` has shape (vocab_size,)."""
    sampling = state.sampling
    if sampling.penalizes:
        seen, counts = state.tables(scores.shape[-1], scores.device)
        penalty = sampling.repetition_penalty
        scores.copy_(torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores))
        scores -= sampling.presence_penalty * (counts > 0) + sampling.frequency_penalty * counts
    if banned := state.banned_ids:
        scores[banned] = -torch.inf


def _draw(scores: torch.Tensor, states: Sequence[TorchSamplingState]) -> torch.Tensor:
    """Draw one token per row from the ranked candidates, through the inverse of their cumulative distribution.

    A single number decides each row, and candidates are ranked by their score: rounding that swaps two neighbours or
    moves a boundary changes the outcome only when the number falls right there.

    Args:
        scores: shape (len(states), vocab_size).
        states: all with ``top_k`` off, or all with it on.
    """
    device = scores.device
    vocab_size = scores.shape[-1]
    top_k = [state.candidates(vocab_size) for state in states]
    ranked, ids = scores.topk(max(top_k), dim=-1)
    ranked = (ranked - ranked[:, :1]) / torch.tensor([state.sampling.temperature for state in states], device=device)[
        :, None
    ]
    rank = torch.arange(ranked.shape[-1], device=device)
    ranked = ranked.masked_fill(rank >= torch.tensor(top_k, device=device)[:, None], -torch.inf)
    probabilities = ranked.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    # A candidate is in the nucleus while those before it have not reached top_p; the first always is.
    top_p = torch.tensor([state.sampling.top_p for state in states], device=device)[:, None]
    probabilities = probabilities.masked_fill((before >= top_p) & (rank > 0), 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    uniform = torch.tensor([state.uniform() for state in states], device=device)[:, None]
    picked = (cumulative <= uniform * cumulative[:, -1:]).sum(dim=-1, keepdim=True)
    last = (probabilities > 0).sum(dim=-1, keepdim=True) - 1  # rounding may push the number past the last candidate
    # Scores that are NaN (after an overflow in half precision) must not fail the whole batch: they give rank 0.
    return ids.gather(1, picked.minimum(last).clamp(min=0)).squeeze(1)
