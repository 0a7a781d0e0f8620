"""The handle of one generation: the engine's thread pushes tokens, the caller's thread reads chunks of text."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator

from pilotlight.engines.request_thread import CLOSED
from pilotlight.engines.text.handoff import ReaderHandoff
from pilotlight.engines.text.tokens.detokenize import TextStream
from pilotlight.engines.text.types import Chunk, FinishReason, GenerationRequest, TokenCodec, Usage
from pilotlight.errors import EngineError, EngineStoppedError

__all__ = ["Generation"]


class Generation:
    """A request that is being served. Iterate it once for its chunks; ``cancel`` from any thread.

    Args:
        request: the request.
        prompt_ids: its prompt in tokens, shape (input_tokens,).
        codec: of the engine.
        max_tokens: output tokens at most, the end-of-text token included.
        eos_ids: tokens that end the text and are not part of it.
        on_end: tells the engine that the place is free; called once, before the reader gets the end, so that a caller
            who saw one request end can submit the next. Called with this generation's lock held.

    Attributes:
        output_ids: tokens so far, an end-of-text token and those of a stop sequence included.
    """

    def __init__(
        self,
        request: GenerationRequest,
        prompt_ids: list[int],
        codec: TokenCodec,
        *,
        max_tokens: int,
        eos_ids: Collection[int],
        on_end: Callable[[Generation], None],
    ) -> None:
        self.request = request
        self.prompt_ids = prompt_ids
        self.max_tokens = max_tokens
        self.eos_ids = frozenset(eos_ids)
        self.output_ids: list[int] = []
        self._text = TextStream(
            codec.decode,
            request.sampling.stop,
            request.sampling.min_tokens,
            prompt=prompt_ids if request.continues else (),
            special=codec.special,
            ends_whole=codec.ends_whole,
        )
        self._on_end = on_end
        self._chunks: queue.SimpleQueue[Chunk | EngineError] = queue.SimpleQueue()
        self._handoff: ReaderHandoff | None = None
        self._lock = threading.Lock()  # the first of push, cancel and fail that ends it wins
        self._ended = False
        self._submitted_at = time.monotonic()
        self._first_token_at: float | None = None
        self._ended_at: float | None = None

    # The caller's side

    def __iter__(self) -> Iterator[Chunk]:
        """Yield chunks as they come, the last with a finish reason.

        Raises:
            EngineError: the engine failed on this request, or died; EngineStoppedError where it was closed.
        """
        try:
            while True:
                if self._handoff is not None:
                    self._handoff.ask(self)
                item = self._chunks.get()
                if isinstance(item, EngineError):
                    raise item
                yield item
                if item.finish is not None:
                    return
        finally:
            self.cancel()  # a reader that stops reading frees the place; no effect after the end
            if self._handoff is not None:
                self._handoff.leave(self)

    def text(self) -> str:
        """Wait for the end and return the whole output."""
        return "".join(chunk.text for chunk in self)

    def cancel(self) -> None:
        """End it now: the reader gets the text so far and ``canceled``, the engine frees the slot within a token."""
        with self._lock:
            if not self._ended:
                self._finish(FinishReason.CANCELED)

    @property
    def cached_tokens(self) -> int:
        """Tokens that it can come to, prompt and output."""
        return len(self.prompt_ids) + self.max_tokens

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: it is complete, was cancelled, or failed."""
        return self._ended

    @property
    def usage(self) -> Usage:
        """Tokens and times so far; final once it has ended."""
        now = self._ended_at if self._ended_at is not None else time.monotonic()
        first = self._first_token_at if self._first_token_at is not None else now
        return Usage(
            input_tokens=len(self.prompt_ids),
            output_tokens=len(self.output_ids),
            time_to_first_token_s=first - self._submitted_at,
            total_s=now - self._submitted_at,
        )

    # The engine's side

    def use_handoff(self, handoff: ReaderHandoff) -> None:
        """Tell ``handoff`` when the reader waits for a chunk and when it gets one."""
        handoff.ask(self)
        self._handoff = handoff

    def push(self, token: int) -> bool:
        """Take the next token and return whether the generation has ended, with it or before."""
        with self._lock:
            if self._ended:
                return True
            if self._first_token_at is None:
                self._first_token_at = time.monotonic()
            self.output_ids.append(token)
            if token in self.eos_ids:
                self._finish(FinishReason.STOP)
                return True
            text = self._text.push(token)
            if self._text.stopped:
                self._finish(FinishReason.STOP, text)
            elif len(self.output_ids) >= self.max_tokens:
                self._finish(FinishReason.LENGTH, text)
            elif text:
                self._send(Chunk(text, len(self.output_ids)))
            return self._ended

    def fail(self, error: Exception) -> None:
        """End it with an error, which the reader gets; no effect after the end."""
        with self._lock:
            if self._ended:
                return
            self._mark_ended()
            known = error if isinstance(error, EngineError) else EngineError(f"the engine failed: {error}")
            self._send(known)

    def stop(self) -> None:
        """End it because the engine closes."""
        self.fail(EngineStoppedError(CLOSED))

    def _finish(self, reason: FinishReason, text: str = "") -> None:
        # The text stream is finished only here, under the lock: every later push finds the generation ended.
        self._mark_ended()
        text += self._text.finish()
        self._send(Chunk(text, len(self.output_ids), reason))

    def _send(self, item: Chunk | EngineError) -> None:
        if self._handoff is not None:
            self._handoff.give(self)
        self._chunks.put(item)

    def _mark_ended(self) -> None:
        self._ended = True
        self._ended_at = time.monotonic()
        self._on_end(self)
