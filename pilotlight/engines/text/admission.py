"""Who may enter an engine: checked before anything is queued, so that one bad request costs the others nothing."""

from __future__ import annotations

import threading

from pilotlight.engines.text.types import GenerationRequest, TokenCodec
from pilotlight.errors import EngineBusyError, EngineStoppedError, InputError

__all__ = ["Admission"]


class Admission:
    """Counts the requests inside and refuses those that cannot be served.

    Args:
        codec: of the engine.
        context_tokens: prompt and output together, at most.
        places: requests inside at once, running and waiting.
    """

    def __init__(self, codec: TokenCodec, context_tokens: int, places: int) -> None:
        self._codec = codec
        self._context_tokens = context_tokens
        self._places = places
        self._inside = 0
        self._lock = threading.Lock()

    def encode(self, request: GenerationRequest) -> list[int]:
        """The prompt's tokens.

        Raises:
            InputError: the prompt is empty, is no Unicode text, or leaves no room for a single output token.
        """
        name, limit = request.prompt_input, self._context_tokens - 1
        if not request.prompt:
            raise InputError(name, "is empty; give at least one character to go on from")
        try:
            request.prompt.encode()
        except UnicodeEncodeError as error:
            raise InputError(name, f"holds half a surrogate pair at character {error.start}; send whole ones") from None
        # A text this long cannot fit however well its tokens cover it: say so without reading it all.
        # (The first comparison spares short prompts the search for the longest token.)
        if len(request.prompt) > limit and len(request.prompt) > limit * self._codec.longest_token_chars:
            raise InputError(name, f"has {len(request.prompt)} characters; the model holds {limit} tokens: shorten it")
        ids = self._codec.encode(request.prompt, special_tokens=request.special_tokens)
        if not ids:
            raise InputError(name, "is nothing to this model's tokenizer; give it other text")
        if len(ids) > limit:
            raise InputError(name, f"has {len(ids)} tokens; the model holds {limit} and one of output: shorten it")
        return ids

    def enter(self, *, stopped: bool = False) -> None:
        """Take a place.

        Raises:
            EngineStoppedError: the engine is closed or dead.
            EngineBusyError: every place is taken.
        """
        if stopped:
            raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")
        with self._lock:
            if self._inside >= self._places:
                raise EngineBusyError(f"all {self._places} places are taken, running and waiting; try again later")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            assert self._inside >= 0, "left more often than entered: this is a bug"

    @property
    def inside(self) -> int:
        return self._inside
