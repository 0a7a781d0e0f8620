"""Our sampling rules in the words of OpenVINO GenAI, whose sampler then chooses the tokens.

Its order is ours: end-of-text ban, penalties, top_k, temperature, top_p, then one number from the request's
own generator (a 32-bit Mersenne twister). The same seed gives the same text again, but not that of another engine.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import Sampling
from pilotlight.errors import InputError

__all__ = ["Rules", "generation_config", "is_apart", "require_embedded", "rules_of"]

# Below 1 the sampler ranks its candidates before it draws among them, else it takes them in the order of a heap, which
# a last-bit difference of two scores can change altogether. The mass that this cuts off is below float32's resolution.
RANKED_TOP_P = 1 - 2**-23
SEEDS = 2**32


def require_embedded(generation: Generation, vocab_size: int) -> None:
    """Refuse a prompt that this model cannot read.

    Raises:
        InputError: naming the input.
    """
    if max(generation.prompt_ids) >= vocab_size:
        raise InputError(generation.request.prompt_input, "holds a token that this model has no embedding for")


def is_apart(generation: Generation) -> bool:
    """Whether the pipeline is not to sample for this request, because it would not do as documented.

    GenAI's sampler (2026.4) takes a presence or frequency penalty off scores from zero up, and adds it to those below,
    so that some tokens become likelier with every repetition. Handing it the negative turns this round for both.
    """
    sampling = generation.request.sampling
    return sampling.presence_penalty != 0 or sampling.frequency_penalty != 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How one request's tokens are chosen, whichever stage of the engine does it.

    Attributes:
        sampled: whether by chance at all; what follows ``frequency_penalty`` means nothing where not.
        min_tokens: before so many, the end-of-text tokens cannot come.
        repetition_penalty: as in ``Sampling``.
        presence_penalty, frequency_penalty: as in ``Sampling``; the pipeline is never given any, see ``is_apart``.
        temperature, top_p: as in ``Sampling``.
        top_k: candidates at most; 0 is all.
        seed: below 2**32.
    """

    sampled: bool
    min_tokens: int
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    temperature: float
    top_k: int
    top_p: float
    seed: int


def rules_of(sampling: Sampling, *, max_tokens: int, eos_ids: Collection[int], vocab_size: int) -> Rules:
    """The request's rules in a form that leaves nothing to decide.

    Args:
        sampling: as it was asked for.
        max_tokens: output tokens at most, the end-of-text token included.
        eos_ids: tokens that end a text, all below ``vocab_size``; may be empty.
        vocab_size: scores per token.
    """
    top_k = sampling.top_k if sampling.top_k < vocab_size else 0
    return Rules(
        sampled=not (sampling.greedy or top_k == 1 or sampling.top_p == 0),
        min_tokens=min(sampling.min_tokens, max_tokens) if eos_ids else 0,
        repetition_penalty=sampling.repetition_penalty,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        temperature=sampling.temperature,
        top_k=top_k,
        top_p=min(sampling.top_p, RANKED_TOP_P) if top_k else sampling.top_p,
        seed=sampling.seed % SEEDS,
    )


def generation_config(genai: Any, rules: Rules, *, max_tokens: int, eos_ids: Collection[int]) -> Any:
    """What to hand to the pipeline for one request; stop sequences stay with our own text layer.

    Args:
        genai: the module.
        rules: the request's.
        max_tokens: output tokens at most, the end-of-text token included.
        eos_ids: tokens that end a text; may be empty.
    """
    assert not rules.presence_penalty, "this is for the other stage: this is a bug"
    assert not rules.frequency_penalty, "this is for the other stage: this is a bug"
    config = genai.GenerationConfig()
    config.max_new_tokens = max_tokens
    # The pipeline takes no empty set: where nothing ends a text, it is told to ignore a token that stands for none.
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
