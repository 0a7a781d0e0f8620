"""A text back end that serves one request after the other."""

from __future__ import annotations

from abc import abstractmethod

from pilotlight.engines.request_thread import CLOSED
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.threaded import ThreadedBackend
from pilotlight.errors import EngineStoppedError

__all__ = ["SerialBackend"]


class SerialBackend(ThreadedBackend):
    """Compute each request to its end while the others wait in order; a back end supplies ``generate``.

    An error fails the request that it came from, and the next one is served. It can be the first stage of a
    ``StagedBackend``.

    Args:
        name: of the thread.
    """

    slots = 1

    def __init__(self, name: str) -> None:
        super().__init__(name, waits_for_readers=False)
        self._current: Generation | None = None  # guarded by ``changed``
        self._settled = False

    @abstractmethod
    def generate(self, generation: Generation) -> None:
        """Push tokens into ``generation`` until it has ended; look after each token whether it has."""

    def add(self, *generations: Generation) -> None:
        with self.changed:
            super().add(*generations)
            self._settled = self._settled or len(self.waiting) + (self._current is not None) > 1

    def wait_settled(self) -> None:
        """Wait until one request has been answered, or one waits behind another, or no more are taken."""
        with self.changed:
            self.changed.wait_for(lambda: self._settled or not self.alive())

    def advance(self) -> None:
        with self.changed:
            generation = self._current = next(iter(self.take(1)), None)
        if generation is None:
            return
        try:
            self.generate(generation)
        except Exception as error:  # noqa: BLE001 - the caller of this request gets it
            generation.fail(error)
        with self.changed:
            self._current = None
            self._settled = True
            self.changed.notify_all()

    def running(self) -> list[Generation]:
        current = self._current
        return [] if current is None else [current]

    def interrupt(self) -> None:
        for generation in self.running():
            generation.fail(EngineStoppedError(CLOSED))
