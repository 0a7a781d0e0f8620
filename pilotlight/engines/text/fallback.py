"""Sends requests that a back end cannot serve as documented to a second back end beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pilotlight.engines.request_thread import STOPPED
from pilotlight.engines.text.engine import TextBackend
from pilotlight.engines.text.generation import Generation
from pilotlight.errors import EngineStoppedError

__all__ = ["FallbackBackend"]


class FallbackBackend:
    """``main`` for all requests but those that ``needs_fallback`` selects.

    The fallback is opened when the first of them comes, and stays open.

    Args:
        main: running.
        needs_fallback: whether ``main`` cannot serve a request.
        open_fallback: returns at once; called once at most, by whichever thread submits.

    Attributes:
        cache_bytes: of the back ends that are open.
    """

    def __init__(
        self,
        main: TextBackend,
        needs_fallback: Callable[[Generation], bool],
        open_fallback: Callable[[], TextBackend],
    ) -> None:
        self.slots = main.slots
        self.context_tokens = main.context_tokens
        self._main = main
        self._needs_fallback = needs_fallback
        self._open_fallback = open_fallback
        self._fallback: TextBackend | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def cache_bytes(self) -> int:
        return sum(backend.cache_bytes for backend in self._opened())

    def add(self, generation: Generation, /) -> None:
        backend = self._open() if self._needs_fallback(generation) else self._main
        backend.add(generation)

    def alive(self) -> bool:
        return all(backend.alive() for backend in self._opened())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            opened = self._opened()
        for backend in opened:
            backend.close()

    def _open(self) -> TextBackend:
        with self._lock:
            if self._fallback is None:
                if self._closed:
                    raise EngineStoppedError(STOPPED)
                self._fallback = self._open_fallback()
            return self._fallback

    def _opened(self) -> list[TextBackend]:
        return [self._main] if self._fallback is None else [self._main, self._fallback]
