"""The half of a backend that is the same for all whose requests advance together on one thread."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.handoff import ReaderHandoff
from pilotlight.errors import EngineError, EngineStoppedError

__all__ = ["ThreadedBackend"]


class ThreadedBackend(ABC):
    """Takes requests in, and has its thread advance them; whoever inherits says how, in the methods at the end.

    ``begin`` starts the thread, when there is something to compute with. From then on only the thread calls
    ``advance``, ``inside`` and ``leave``. After each ``advance`` it lets the readers pass on what they got.
    """

    def __init__(self, name: str) -> None:
        self._arrived: list[Generation] = []
        self._changed = threading.Condition()
        self._closed = False
        self._turns = ReaderHandoff()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def add(self, generation: Generation) -> None:
        self.refuse_unfit(generation)
        with self._changed:
            if self._closed:
                raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")
            generation.take_turns(self._turns)
            self._arrived.append(generation)
            self._changed.notify()

    def cancel(self, generation: Generation) -> None:  # noqa: B027 - doing nothing is right for all of them
        """Nothing to do: the thread lets go of ended generations before its next step."""

    def alive(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10.0)

    def take(self, most: int | None = None) -> list[Generation]:
        """Those who have arrived and still want an answer, in order; at most so many, the others wait on."""
        taken: list[Generation] = []
        with self._changed:
            while self._arrived and (most is None or len(taken) < most):
                generation = self._arrived.pop(0)
                if not generation.ended:
                    taken.append(generation)
        return taken

    def _run(self) -> None:
        try:
            while self._wait():
                self.advance()
                self._turns.wait()
            self.leave()
        except Exception as error:  # noqa: BLE001 - the runtime failed under all of them: everybody inside is told
            for generation in self._everybody():
                generation.fail(EngineError(f"the engine died: {error}"))
        else:
            for generation in self._everybody():
                generation.stop()

    def _wait(self) -> bool:
        """Wait for something to do; ``False`` once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._arrived or self.busy())
            return not self._closed

    def _everybody(self) -> list[Generation]:
        """All who wait for an answer; nobody joins them any more."""
        with self._changed:
            self._closed = True
            arrived, self._arrived = self._arrived, []
        return [*arrived, *self.inside()]

    @abstractmethod
    def refuse_unfit(self, generation: Generation) -> None:
        """Raise ``InputError`` for what this backend cannot do."""

    @abstractmethod
    def busy(self) -> bool:
        """Whether there is something to do without anybody new."""

    @abstractmethod
    def advance(self) -> None:
        """Let in who has arrived, let go who has ended, and compute a token for the others."""

    @abstractmethod
    def inside(self) -> Iterable[Generation]:
        """Those let in and not let go."""

    def leave(self) -> None:  # noqa: B027 - most have nothing to tidy up
        """Tidy up, after the last ``advance``."""
