"""Refuses a prompt with tokens that the model has no embedding for, before it is queued.

A tokenizer may have more tokens than its model: some were added and never trained. Computing with one raises an index
error in the middle of a batch, or on a GPU ends the whole context.
"""

from __future__ import annotations

from pilotlight.engines.text.generation import Generation
from pilotlight.errors import InputError

__all__ = ["require_embedded"]


def require_embedded(generation: Generation, vocab_size: int) -> None:
    """Refuse a prompt with a token that is not below ``vocab_size``.

    Raises:
        InputError: naming the input and the token.
    """
    unknown = next((token for token in generation.prompt_ids if not 0 <= token < vocab_size), None)
    if unknown is not None:
        raise InputError(
            generation.request.prompt_input,
            f"holds a token that this model has no embedding for: its number is {unknown}, and the model has "
            f"{vocab_size}; leave it out",
        )
