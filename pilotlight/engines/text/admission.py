"""Checks a request before anything is queued, so that one bad request costs the others nothing."""

from __future__ import annotations

from pilotlight.engines.text.types import GenerationRequest, TokenCodec
from pilotlight.errors import InputError

__all__ = ["encode_prompt", "output_limit"]


def encode_prompt(
    request: GenerationRequest, codec: TokenCodec, context_tokens: int, model_context_tokens: int = 0
) -> list[int]:
    """Return the prompt's tokens.

    Args:
        request: whose prompt it is.
        codec: of the engine.
        context_tokens: prompt and output together, at most.
        model_context_tokens: of the model, where memory holds less for one request; 0 elsewhere.

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
        holder = _holder(limit, model_context_tokens)
        raise InputError(name, f"has {len(request.prompt)} characters; {holder}: shorten it")
    ids = codec.encode(request.prompt, special_tokens=request.special_tokens)
    if not ids:
        raise InputError(name, "has no tokens for this model's tokenizer; give it other text")
    if len(ids) > limit:
        raise InputError(
            name, f"has {len(ids)} tokens; {_holder(limit, model_context_tokens)} and one of output: shorten it"
        )
    return ids


def output_limit(
    request: GenerationRequest, prompt_tokens: int, context_tokens: int, model_context_tokens: int = 0
) -> int:
    """Return the output tokens that the request gets at most: what it asks for, within the model's context.

    Args:
        request: what is asked for.
        prompt_tokens: of its prompt.
        context_tokens: prompt and output together, at most.
        model_context_tokens: of the model, where memory holds less for one request; 0 elsewhere.

    Raises:
        InputError: the model could give that much, and this machine's memory never holds it.
    """
    asked = min(request.sampling.max_tokens, max(context_tokens, model_context_tokens) - prompt_tokens)
    room = context_tokens - prompt_tokens
    if asked > room:
        raise InputError(
            "max_tokens",
            f"asks for {asked} tokens after a prompt of {prompt_tokens}; memory holds {context_tokens} tokens of one "
            f"request here, of the model's {model_context_tokens}: ask for {room} or fewer, or give the model more "
            "memory",
        )
    return asked


def _holder(limit: int, model_context_tokens: int) -> str:
    if not model_context_tokens:
        return f"the model holds {limit} tokens"
    return f"memory holds {limit} tokens of the model's {model_context_tokens} here"
