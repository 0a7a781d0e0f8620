"""Taking turns with the interpreter: who reads an engine's chunks passes them on before the next step begins."""

from __future__ import annotations

import threading

__all__ = ["MAX_WAIT_S", "ReaderHandoff"]

# Readers need well under a tenth of a millisecond each. One who is stuck must cost the others little, and only once.
MAX_WAIT_S = 0.003


class ReaderHandoff:
    """Lets an engine's thread wait, after a step, until the readers whom it gave something have come back for more.

    A step of some runtimes holds the interpreter lock from its beginning to its end. Without turns a reader whose chunk
    came with one step gets to run only between two later ones, against everybody else who waits for the lock: a first
    token was seen to take four to six steps to its caller instead of one.

    Only readers who were waiting count: one who has fallen behind, or is not there, is not waited for again before it
    has caught up.

    Args:
        max_wait_s: for one step.
    """

    def __init__(self, max_wait_s: float = MAX_WAIT_S) -> None:
        self._max_wait_s = max_wait_s
        self._changed = threading.Condition()
        self._asking: set[object] = set()
        self._reading: set[object] = set()

    @property
    def reading(self) -> int:
        """How many have something that they have not passed on."""
        return len(self._reading)

    def ask(self, reader: object) -> None:
        """``reader`` waits for a chunk from now on; so does one that will be reading shortly."""
        with self._changed:
            self._asking.add(reader)
            self._put_down(reader)

    def give(self, reader: object) -> None:
        """There is something for ``reader``."""
        with self._changed:
            if reader in self._asking:
                self._asking.remove(reader)
                self._reading.add(reader)

    def leave(self, reader: object) -> None:
        """``reader`` reads no more."""
        with self._changed:
            self._asking.discard(reader)
            self._put_down(reader)

    def wait(self) -> None:
        """Wait until everybody who got something asks again or has left; ``max_wait_s`` at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reading, self._max_wait_s)
            self._reading.clear()

    def _put_down(self, reader: object) -> None:
        self._reading.discard(reader)
        if not self._reading:
            self._changed.notify_all()
