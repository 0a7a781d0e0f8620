"""Our sampling rules in the words of OpenVINO GenAI, whose sampler then chooses the tokens.

Its order is ours: end-of-text ban, repetition penalty, top_k, temperature, top_p, then one number from the request's
own generator (a 32-bit Mersenne twister). The same seed gives the same text again, but not that of another engine.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pilotlight.engines.base import Sampling
from pilotlight.engines.generation import Generation
from pilotlight.errors import InputError

__all__ = ["Rules", "generation_config", "refuse_unfit", "rules_of"]

# Below 1 the sampler ranks its candidates before it draws among them, else it takes them in the order of a heap, which
# a last-bit difference of two scores can change altogether. The mass that this cuts off is below float32's resolution.
RANKED_TOP_P = 1 - 2**-23
SEEDS = 2**32


def refuse_unfit(generation: Generation, vocab_size: int) -> None:
    """Refuse what this engine would not do as documented.

    Its sampler adds a presence or frequency penalty to scores below zero instead of subtracting it, so that some
    tokens would become likelier with every repetition.

    Raises:
        InputError: naming the input.
    """
    for name in ("presence_penalty", "frequency_penalty"):
        value = getattr(generation.request.sampling, name)
        if value:
            raise InputError(
                name,
                f"is {value}, which the openvino engine cannot apply: leave it at 0, use repetition_penalty, or serve "
                "the model with PILOTLIGHT_ENGINE=torch",
            )
    if max(generation.prompt_ids) >= vocab_size:
        raise InputError(generation.request.prompt_input, "holds a token that this model has no embedding for")


@dataclass(frozen=True, slots=True)
class Rules:
    """How one request's tokens are chosen, whichever stage of the engine does it.

    Attributes:
        sampled: whether by chance at all; what follows ``repetition_penalty`` means nothing where not.
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
