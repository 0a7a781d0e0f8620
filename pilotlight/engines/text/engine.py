"""The engine over any text back end: it checks requests, counts them, and closes."""

from __future__ import annotations

import atexit
import threading
from typing import Protocol

from pilotlight.engines.request_thread import STOPPED
from pilotlight.engines.text.admission import encode_prompt, output_limit
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import EngineInfo, GenerationRequest, TokenCodec
from pilotlight.errors import EngineBusyError, EngineStoppedError

__all__ = ["BackendEngine", "TextBackend"]


class TextBackend(Protocol):
    """Advances generations until they end. It notices by itself when one was cancelled, within a token."""

    @property
    def slots(self) -> int: ...

    @property
    def context_tokens(self) -> int: ...

    @property
    def cache_bytes(self) -> int: ...

    def add(self, generation: Generation, /) -> None:
        """Queue a generation; the back end ends it, with its output or with an error.

        Raises:
            InputError: this back end cannot do what the request asks for.
            EngineStoppedError: it is closed or dead.
        """

    def alive(self) -> bool:
        """Whether it takes requests."""

    def close(self) -> None:
        """Fail every generation that has not ended. Safe to call again."""


class BackendEngine:
    """An engine over a back end; every engine inherits from it.

    Args:
        backend: already running.
        codec: of the model.
        eos_ids: tokens that end a text; may be empty.
        info: what the engine reports of itself; its slots and context are those of the back end.
    """

    def __init__(self, backend: TextBackend, codec: TokenCodec, eos_ids: tuple[int, ...], info: EngineInfo) -> None:
        self._backend = backend
        self._codec = codec
        self._eos_ids = eos_ids
        self._info = info
        self._places = info.slots + info.queue_size
        self._live: set[Generation] = set()  # running and waiting
        self._closed = False
        self._lock = threading.Lock()  # of the two above
        atexit.register(self.close)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def codec(self) -> TokenCodec:
        return self._codec

    def submit(self, request: GenerationRequest) -> Generation:
        """Check a request and queue it; see ``Engine`` for what it raises."""
        info = self._info
        prompt_ids = encode_prompt(request, self._codec, info.context_tokens, info.model_context_tokens)
        max_tokens = output_limit(request, len(prompt_ids), info.context_tokens, info.model_context_tokens)
        if not self.healthy():
            raise EngineStoppedError(STOPPED)
        generation = Generation(
            request,
            prompt_ids,
            self._codec,
            max_tokens=max_tokens,
            eos_ids=self._eos_ids,
            on_end=self._ended,
        )
        self._enter(generation)
        try:
            self._backend.add(generation)
        except Exception as error:
            generation.fail(error)  # gives the place back
            raise
        return generation

    def healthy(self) -> bool:
        return not self._closed and self._backend.alive()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            live = list(self._live)
        for generation in live:
            generation.stop()
        self._backend.close()
        atexit.unregister(self.close)

    def _enter(self, generation: Generation) -> None:
        """Take a place. A generation that has one when the engine closes is stopped by ``close``."""
        with self._lock:
            if self._closed:
                raise EngineStoppedError(STOPPED)
            if len(self._live) >= self._places:
                raise EngineBusyError(f"all {self._places} places are taken, running and waiting; try again later")
            self._live.add(generation)

    def _ended(self, generation: Generation) -> None:
        with self._lock:
            self._live.discard(generation)
