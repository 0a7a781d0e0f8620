"""Checks a prompt before anything is queued, so that one bad request costs the others nothing."""

from __future__ import annotations

from pilotlight.engines.text.types import GenerationRequest, TokenCodec
from pilotlight.errors import InputError

__all__ = ["encode_prompt"]


def encode_prompt(request: GenerationRequest, codec: TokenCodec, context_tokens: int) -> list[int]:
    """Return the prompt's tokens.

    Args:
        request: whose prompt it is.
        codec: of the engine.
        context_tokens: prompt and output together, at most.

    Raises:
        InputError: the prompt is empty, is not valid Unicode, or leaves no room for a single output token.
    """
    name, limit = request.prompt_input, context_tokens - 1
    if not request.prompt:
        raise InputError(name, "is empty; give at least one character to continue")
    try:
        request.prompt.encode()
    except UnicodeEncodeError as error:
        raise InputError(name, f"holds half a surrogate pair at character {error.start}; send whole ones") from None
    # A text this long cannot fit whatever its tokens are: it is refused without encoding it.
    # (The first comparison spares short prompts the search for the longest token.)
    if len(request.prompt) > limit and len(request.prompt) > limit * codec.longest_token_chars:
        raise InputError(name, f"has {len(request.prompt)} characters; the model holds {limit} tokens: shorten it")
    ids = codec.encode(request.prompt, special_tokens=request.special_tokens)
    if not ids:
        raise InputError(name, "has no tokens for this model's tokenizer; give it other text")
    if len(ids) > limit:
        raise InputError(name, f"has {len(ids)} tokens; the model holds {limit} and one of output: shorten it")
    return ids
