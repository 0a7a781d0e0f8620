"""A text back end on one thread: what all of them share beside the thread itself."""

from __future__ import annotations

from abc import abstractmethod

from pilotlight.engines.memory.admission import Admission
from pilotlight.engines.request_thread import RequestThread
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.handoff import ReaderHandoff
from pilotlight.errors import EngineError

__all__ = ["ThreadedBackend"]


class ThreadedBackend(RequestThread[Generation]):
    """Advance generations on one thread; a back end supplies ``advance`` and ``running``, and calls ``start``.

    Args:
        name: of the thread.
        waits_for_readers: let the readers pass on what a step gave them before the next one begins; for runtimes whose
            steps hold the interpreter lock.
    """

    def __init__(self, name: str, *, waits_for_readers: bool) -> None:
        super().__init__(name)
        self._handoff = ReaderHandoff() if waits_for_readers else None

    def add(self, *generations: Generation) -> None:
        """Queue generations.

        Raises:
            InputError: the back end cannot do what the request asks for.
            EngineStoppedError: it is closed, draining or dead.
        """
        for generation in generations:
            self.check(generation)
        with self.changed:
            super().add(*generations)
            if self._handoff is not None:
                for generation in generations:
                    generation.use_handoff(self._handoff)

    def step(self) -> None:
        self.advance()
        if self._handoff is not None:
            self._handoff.wait()

    def gone(self, generation: Generation) -> bool:
        return generation.ended

    def fail(self, generation: Generation, error: EngineError) -> None:
        generation.fail(error)

    def take_admitted(self, admission: Admission) -> list[Generation]:
        """Take the generations that the cache has room for beside the running ones, oldest first."""
        admit = admission.entry(generation.cached_tokens for generation in self.running())
        return self.take(admit=lambda generation: admit(generation.cached_tokens))

    def check(self, generation: Generation) -> None:
        """Raise ``InputError`` for what this back end cannot do."""

    @abstractmethod
    def advance(self) -> None:
        """Take what has arrived, drop what has ended, and compute a token for the others."""
