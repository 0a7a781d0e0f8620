"""Choosing the next token of many requests at once, each by its own rules and from its own random stream.

The choice is written back into the scores (the chosen token keeps its score, all others become -inf), so that whatever
takes the arg-max afterwards (transformers' continuous batching, or ``generate``) takes the token chosen here.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import torch

from pilotlight.engines.text.types import Sampling

__all__ = ["Row", "choose"]


class Row:
    """What sampling has to remember of one request between its tokens.

    Args:
        sampling: its rules.
        prompt_ids: tokens of the prompt, shape (input_tokens,); counted by ``repetition_penalty``.
        eos_ids: tokens not to be chosen before ``min_tokens``.
    """

    __slots__ = ("_counts", "_random", "_seen", "eos_ids", "output_tokens", "prompt_ids", "sampling")

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int], eos_ids: Collection[int]) -> None:
        self.sampling = sampling
        self.prompt_ids = prompt_ids
        self.eos_ids = list(eos_ids)
        self.output_tokens = 0
        self._random = random.Random(sampling.seed)  # noqa: S311 - sampling text, not keys
        self._seen: torch.Tensor | None = None
        self._counts: torch.Tensor | None = None

    def uniform(self) -> float:
        """The next number of this request's stream, in [0, 1): one per sampled token."""
        return self._random.random()

    def tables(self, vocab_size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """(tokens seen in prompt or output, occurrences in the output), each of shape (vocab_size,)."""
        if self._seen is None or self._counts is None:
            self._seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
            self._seen[torch.tensor(self.prompt_ids, device=device)] = True
            self._counts = torch.zeros(vocab_size, device=device)
        return self._seen, self._counts

    def chosen(self, token: int) -> None:
        self.output_tokens += 1
        if self._seen is not None and self._counts is not None:
            self._seen[token] = True
            self._counts[token] += 1


def choose(scores: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Force the arg-max of every row to the token that its request's rules choose.

    Args:
        scores: logits, float32, shape (at least len(rows), vocab_size); rows beyond ``rows`` are padding.
        rows: the requests, in the order of the scores.

    Returns:
        A tensor of the shape of ``scores``.
    """
    scores = scores.clone()
    for i, row in enumerate(rows):
        _constrain(scores[i], row)
    tokens = scores[: len(rows)].argmax(dim=-1)
    sampled = [i for i, row in enumerate(rows) if not row.sampling.greedy]
    # Those that look at few candidates, and those that look at all of them, cost too differently to go together.
    for group in (
        [i for i in sampled if 0 < rows[i].sampling.top_k < scores.shape[-1]],
        [i for i in sampled if not 0 < rows[i].sampling.top_k < scores.shape[-1]],
    ):
        if group:
            tokens[group] = _sample(scores[group], [rows[i] for i in group])
    forced = torch.full_like(scores, -torch.inf)
    forced[: len(rows)].scatter_(1, tokens[:, None], 0.0)
    for row, token in zip(rows, tokens.tolist(), strict=True):
        row.chosen(token)
    return forced


def _constrain(scores: torch.Tensor, row: Row) -> None:
    """Penalties and ``min_tokens``, in place; ``scores`` has shape (vocab_size,)."""
    sampling = row.sampling
    if sampling.penalizes:
        seen, counts = row.tables(scores.shape[-1], scores.device)
        penalty = sampling.repetition_penalty
        scores.copy_(torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores))
        scores -= sampling.presence_penalty * (counts > 0) + sampling.frequency_penalty * counts
    if row.output_tokens < sampling.min_tokens:
        scores[row.eos_ids] = -torch.inf


def _sample(scores: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """One token per row by temperature, top_k and top_p, through the inverse of the cumulative distribution.

    A single number decides each row, and candidates are ranked by their score: rounding that swaps two neighbours or
    moves a boundary changes the outcome only when the number falls right there.

    Args:
        scores: shape (len(rows), vocab_size).
        rows: all with ``top_k`` off, or all with it on.
    """
    device = scores.device
    vocab_size = scores.shape[-1]
    top_k = [min(row.sampling.top_k or vocab_size, vocab_size) for row in rows]
    ranked, ids = scores.topk(max(top_k), dim=-1)
    ranked = (ranked - ranked[:, :1]) / torch.tensor([row.sampling.temperature for row in rows], device=device)[:, None]
    rank = torch.arange(ranked.shape[-1], device=device)
    ranked = ranked.masked_fill(rank >= torch.tensor(top_k, device=device)[:, None], -torch.inf)
    probabilities = ranked.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    # A candidate is in the nucleus while those before it have not reached top_p; the first always is.
    top_p = torch.tensor([row.sampling.top_p for row in rows], device=device)[:, None]
    probabilities = probabilities.masked_fill((before >= top_p) & (rank > 0), 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    uniform = torch.tensor([row.uniform() for row in rows], device=device)[:, None]
    picked = (cumulative <= uniform * cumulative[:, -1:]).sum(dim=-1, keepdim=True)
    last = (probabilities > 0).sum(dim=-1, keepdim=True) - 1  # rounding may push the number past the last candidate
    # A model that gives no numbers (an overflow in half precision) still must not fail the whole batch: rank 0 then.
    return ids.gather(1, picked.minimum(last).clamp(min=0)).squeeze(1)
