"""Our sampling rules as OpenVINO GenAI's configuration, for its sampler to choose the tokens.

Its rules have our order (``text.sampling``); its random numbers are other ones, so a seed gives the same text again,
but not that of another engine.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import Sampling

__all__ = ["Rules", "generation_config", "needs_fallback", "rules_of"]

# Below 1 GenAI's sampler ranks the candidates before it draws; else it has them in the order of a heap, which a
# last-bit difference of two scores can change altogether. What this cuts off is below float32's resolution.
RANKED_TOP_P = 1 - 2**-23
SEEDS = 2**32


def needs_fallback(generation: Generation) -> bool:
    """Whether the pipeline would not sample for this request as documented.

    GenAI's sampler (2026.4) subtracts a presence or frequency penalty from scores of zero and above, and adds it to
    negative ones, so that some tokens become likelier with every repetition. A negated penalty reverses both.
    """
    return generation.request.sampling.penalizes_output


@dataclass(frozen=True, slots=True)
class Rules:
    """How one request's tokens are chosen, in either stage of the engine; penalties of the output are in ``Sampling``.

    Attributes:
        sampled: whether a random number is drawn; if not, the attributes from ``temperature`` on have no effect.
        min_tokens: before so many, the end-of-text tokens cannot come.
        repetition_penalty: as in ``Sampling``.
        temperature, top_p: as in ``Sampling``.
        top_k: candidates at most; 0 is all.
        seed: below 2**32.
    """

    sampled: bool
    min_tokens: int
    repetition_penalty: float
    temperature: float
    top_k: int
    top_p: float
    seed: int


def rules_of(sampling: Sampling, *, max_tokens: int, eos_ids: Collection[int], vocab_size: int) -> Rules:
    """Return the request's rules with every special case resolved.

    Args:
        sampling: of the request.
        max_tokens: output tokens at most, the end-of-text token included.
        eos_ids: tokens that end a text, all below ``vocab_size``; may be empty.
        vocab_size: scores per token.
    """
    top_k = sampling.top_k if sampling.top_k < vocab_size else 0
    return Rules(
        sampled=not (sampling.greedy or top_k == 1 or sampling.top_p == 0),
        min_tokens=min(sampling.min_tokens, max_tokens) if eos_ids else 0,
        repetition_penalty=sampling.repetition_penalty,
        temperature=sampling.temperature,
        top_k=top_k,
        top_p=min(sampling.top_p, RANKED_TOP_P) if top_k else sampling.top_p,
        seed=sampling.seed % SEEDS,
    )


def generation_config(genai: Any, rules: Rules, *, max_tokens: int, eos_ids: Collection[int]) -> Any:
    """Return the pipeline's configuration of one request; stop sequences are handled by our own text layer.

    Args:
        genai: the module.
        rules: the request's.
        max_tokens: output tokens at most, the end-of-text token included.
        eos_ids: tokens that end a text; may be empty.
    """
    config = genai.GenerationConfig()
    config.max_new_tokens = max_tokens
    # The pipeline does not accept an empty set: where nothing ends a text, it gets token 0 and is told to ignore it.
    config.eos_token_id = next(iter(eos_ids), 0)
    config.stop_token_ids = set(eos_ids) or {0}
    config.ignore_eos = not eos_ids
    config.min_new_tokens = rules.min_tokens
    config.repetition_penalty = rules.repetition_penalty
    config.do_sample = rules.sampled
    if rules.sampled:
        config.temperature = rules.temperature
        config.top_k = rules.top_k
        config.top_p = rules.top_p
        config.rng_seed = rules.seed
    return config
