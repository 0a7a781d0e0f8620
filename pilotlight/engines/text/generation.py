"""The handle on one running generation: an engine's thread feeds it tokens, a caller's thread reads chunks."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator

from pilotlight.engines.text.detokenize import TextStream
from pilotlight.engines.text.handoff import ReaderHandoff
from pilotlight.engines.text.types import Chunk, FinishReason, GenerationRequest, TokenCodec, Usage
from pilotlight.errors import EngineError, EngineStoppedError

__all__ = ["Generation"]


class Generation:
    """One request on its way.  Iterate it once for its chunks; ``cancel`` from any thread.

    Args:
        request: what was asked for.
        prompt_ids: its prompt in tokens, shape (input_tokens,).
        codec: of the engine.
        max_tokens: output tokens at most, the end-of-text token included.
        eos_ids: tokens that end the text and are not part of it.
        on_end: tells the engine that the place is free, and why (``None`` for an error); called once, before the
            reader learns of the end, so that whoever saw one request end can submit the next.

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
        on_end: Callable[[Generation, FinishReason | None], None],
    ) -> None:
        self.request = request
        self.prompt_ids = prompt_ids
        self.max_tokens = max_tokens
        self.eos_ids = frozenset(eos_ids)
        self.output_ids: list[int] = []
        self._text = TextStream(codec.decode, request.sampling.stop, request.sampling.min_tokens)
        self._on_end = on_end
        self._chunks: queue.SimpleQueue[Chunk | EngineError] = queue.SimpleQueue()
        self._turns: ReaderHandoff | None = None
        self._lock = threading.Lock()  # the end is decided once, by whichever thread comes first
        self._ended = False
        self._submitted_at = time.monotonic()
        self._first_token_at: float | None = None
        self._ended_at: float | None = None

    # The caller's side

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they come, the last with a finish reason.

        Raises:
            EngineError: the engine failed under this request; EngineStoppedError where it died or was closed.
        """
        try:
            while True:
                if self._turns is not None:
                    self._turns.ask(self)
                item = self._chunks.get()
                if isinstance(item, EngineError):
                    raise item
                yield item
                if item.finish is not None:
                    return
        finally:
            self.cancel()  # a reader that goes away frees the place; no effect after the end
            if self._turns is not None:
                self._turns.leave(self)

    def text(self) -> str:
        """Wait for the end; the whole output."""
        return "".join(chunk.text for chunk in self)

    def cancel(self) -> None:
        """End it now: the reader gets what was certain and ``canceled``, the engine frees the place within a token."""
        with self._lock:
            if not self._ended:
                self._finish(FinishReason.CANCELED)

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def usage(self) -> Usage:
        """What it has taken so far; final once it has ended."""
        now = self._ended_at if self._ended_at is not None else time.monotonic()
        first = self._first_token_at if self._first_token_at is not None else now
        return Usage(
            input_tokens=len(self.prompt_ids),
            output_tokens=len(self.output_ids),
            time_to_first_token_s=first - self._submitted_at,
            total_s=now - self._submitted_at,
        )

    # The engine's side

    def take_turns(self, turns: ReaderHandoff) -> None:
        """Have the reader take turns with the thread that pushes tokens."""
        turns.ask(self)
        self._turns = turns

    def push(self, token: int) -> bool:
        """Take the next token; whether the generation has ended with it (or had ended before)."""
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
                self._give(Chunk(text, len(self.output_ids)))
            return self._ended

    def fail(self, error: Exception) -> None:
        """End it with an error, which the reader gets."""
        with self._lock:
            if self._ended:
                return
            self._mark_ended(None)
            known = error if isinstance(error, EngineError) else EngineError(f"the engine failed: {error}")
            self._give(known)

    def stop(self) -> None:
        """End it because the engine closes."""
        self.fail(EngineStoppedError("the engine was closed while this request ran; send it again"))

    def _finish(self, reason: FinishReason, text: str = "") -> None:
        # The text of a stream is closed only here: whatever comes later finds it ended.
        self._mark_ended(reason)
        text += self._text.finish()
        self._give(Chunk(text, len(self.output_ids), reason))

    def _give(self, item: Chunk | EngineError) -> None:
        if self._turns is not None:
            self._turns.give(self)
        self._chunks.put(item)

    def _mark_ended(self, reason: FinishReason | None) -> None:
        self._ended = True
        self._ended_at = time.monotonic()
        self._on_end(self, reason)
