"""The half of a batching engine that is the same whatever computes: admission, handles, closing."""

from __future__ import annotations

import atexit
import threading
from typing import Protocol

from pilotlight.engines.text.admission import Admission
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import EngineInfo, FinishReason, GenerationRequest, TokenCodec
from pilotlight.errors import PilotlightError

__all__ = ["Backend", "BackendEngine"]


class Backend(Protocol):
    """Advances generations until they end."""

    slots: int
    context_tokens: int

    @property
    def cache_bytes(self) -> int: ...

    def add(self, generation: Generation) -> None:
        """Take it in.

        Raises:
            InputError: this backend cannot do what the request asks for.
            EngineStoppedError: it is closed or dead.
        """

    def cancel(self, generation: Generation) -> None: ...

    def alive(self) -> bool: ...

    def close(self) -> None: ...


class BackendEngine:
    """An engine over a backend; what real engines inherit.

    Args:
        backend: already running.
        codec: of the model.
        eos_ids: tokens that end a text; may be empty.
        info: what to say of itself; its slots and context are those of the backend.
    """

    def __init__(self, backend: Backend, codec: TokenCodec, eos_ids: tuple[int, ...], info: EngineInfo) -> None:
        self._backend = backend
        self._codec = codec
        self._eos_ids = eos_ids
        self._info = info
        self._admission = Admission(codec, info.context_tokens, info.slots + info.queue_size)
        self._live: set[Generation] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        atexit.register(self.close)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def codec(self) -> TokenCodec:
        return self._codec

    def submit(self, request: GenerationRequest) -> Generation:
        prompt_ids = self._admission.encode(request)
        self._admission.enter(stopped=not self.healthy())
        generation = Generation(
            request,
            prompt_ids,
            self._codec,
            max_tokens=min(request.sampling.max_tokens, self._info.context_tokens - len(prompt_ids)),
            eos_ids=self._eos_ids,
            on_end=self._ended,
        )
        with self._lock:
            self._live.add(generation)
        try:
            self._backend.add(generation)
        except PilotlightError as error:
            generation.fail(error)
            raise
        return generation

    def healthy(self) -> bool:
        return not self._closed.is_set() and self._backend.alive()

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            with self._lock:
                live = list(self._live)
            for generation in live:
                generation.stop()
            self._backend.close()
            atexit.unregister(self.close)

    def _ended(self, generation: Generation, reason: FinishReason | None) -> None:
        with self._lock:
            self._live.discard(generation)
        self._admission.leave()
        if reason is FinishReason.CANCELED:
            self._backend.cancel(generation)
