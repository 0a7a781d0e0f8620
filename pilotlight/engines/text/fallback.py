"""Requests that a backend would not do as documented, served by another one beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pilotlight.engines.text.engine import Backend
from pilotlight.engines.text.generation import Generation
from pilotlight.errors import EngineStoppedError

__all__ = ["FallbackBackend"]


class FallbackBackend:
    """``batching`` for all requests but those that ``is_apart`` finds: they go to a backend of their own.

    That one is opened when the first of them comes, and kept.

    Args:
        batching: running.
        is_apart: whether a request is not for ``batching``.
        open_apart: returns at once; called once, if at all, by whichever thread submits.

    Attributes:
        cache_bytes: of both, as far as they are there.
    """

    def __init__(
        self, batching: Backend, is_apart: Callable[[Generation], bool], open_apart: Callable[[], Backend]
    ) -> None:
        self.slots = batching.slots
        self.context_tokens = batching.context_tokens
        self._batching = batching
        self._is_apart = is_apart
        self._open_apart = open_apart
        self._apart: Backend | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def cache_bytes(self) -> int:
        return sum(backend.cache_bytes for backend in self._there())

    def add(self, generation: Generation) -> None:
        self._of(generation).add(generation)

    def cancel(self, generation: Generation) -> None:
        self._of(generation).cancel(generation)

    def alive(self) -> bool:
        return all(backend.alive() for backend in self._there())

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for backend in self._there():
            backend.close()

    def _of(self, generation: Generation) -> Backend:
        if not self._is_apart(generation):
            return self._batching
        with self._lock:
            if self._apart is None:
                if self._closed:
                    raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")
                self._apart = self._open_apart()
            return self._apart

    def _there(self) -> list[Backend]:
        return [self._batching] if self._apart is None else [self._batching, self._apart]
