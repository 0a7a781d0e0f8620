"""Lets the readers of an engine's chunks run before the next step takes the interpreter lock."""

from __future__ import annotations

import threading

__all__ = ["MAX_WAIT_S", "ReaderHandoff"]

# Readers need well under a tenth of a millisecond each. A stuck one delays the others by this much, once.
MAX_WAIT_S = 0.003


class ReaderHandoff:
    """Makes an engine's thread wait, after a step, until the readers that got a chunk ask for the next one.

    A step of some runtimes holds the interpreter lock from its beginning to its end. Without a
    wait, a reader whose chunk came with one step competes for the lock between later steps with every other thread:
    first tokens took four to six steps to reach their caller instead of one.

    Only readers that were asking count: the thread does not wait for one that has fallen behind until it asks again.

    Args:
        max_wait_s: after one step, at most.
    """

    def __init__(self, max_wait_s: float = MAX_WAIT_S) -> None:
        self._max_wait_s = max_wait_s
        self._changed = threading.Condition()
        self._asking: set[object] = set()
        self._reading: set[object] = set()

    @property
    def reading(self) -> int:
        """How many readers have a chunk and have not asked for the next one."""
        return len(self._reading)

    def ask(self, reader: object) -> None:
        """Count ``reader`` as waiting for a chunk."""
        with self._changed:
            self._asking.add(reader)
            self._done_reading(reader)

    def give(self, reader: object) -> None:
        """Note that ``reader`` gets a chunk."""
        with self._changed:
            if reader in self._asking:
                self._asking.remove(reader)
                self._reading.add(reader)

    def leave(self, reader: object) -> None:
        """Forget ``reader``, which reads no more."""
        with self._changed:
            self._asking.discard(reader)
            self._done_reading(reader)

    def wait(self) -> None:
        """Wait until every reader that got a chunk asks again or has left; ``max_wait_s`` at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reading, self._max_wait_s)
            self._reading.clear()

    def _done_reading(self, reader: object) -> None:
        self._reading.discard(reader)
        if not self._reading:
            self._changed.notify_all()
