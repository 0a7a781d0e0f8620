"""The one thread of an engine that computes: its queue, closing, and what its callers get when it ends.

Every engine here has one: those for text (``text.threaded``) and those for encoders (``encoders.batching``). A back end
says how to compute a step and which requests are in it; everything that concerns threads is in this module.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Generic, TypeVar

from pilotlight.errors import EngineError, EngineStoppedError

__all__ = ["CLOSED", "STOPPED", "RequestThread"]

log = logging.getLogger(__name__)

STOPPED = "the engine has stopped and takes no more requests; restart it"
CLOSED = "the engine was closed before this request was answered; send it again"
# How long ``close`` waits for a step that is being computed. The thread is a daemon: it does not keep a process alive.
JOIN_S = 30.0

Request = TypeVar("Request")


class _State(Enum):
    """``OPEN`` takes requests, ``DRAINING`` answers those that it has begun, ``CLOSED`` computes nothing more."""

    OPEN = auto()
    DRAINING = auto()
    CLOSED = auto()


class RequestThread(ABC, Generic[Request]):
    """Queue requests and compute them, step by step, on one thread.

    Every request that is added gets an end: ``add`` refuses it, ``step`` answers it, or ``fail`` is called with the
    reason. The state is read and the request queued under one lock, and the thread's end takes the queue under the same
    lock, so a request that is added while the thread ends is either refused or failed.

    The thread alone calls ``prepare``, ``step``, ``running``, ``finish`` and ``fail``. ``due_s``, ``busy`` and ``gone``
    are called with the lock held.

    Args:
        name: of the thread.

    Attributes:
        changed: the lock, and the condition that wakes the thread.
        waiting: requests that no step has taken, oldest first; guarded by ``changed``.
    """

    def __init__(self, name: str) -> None:
        self.changed = threading.Condition()
        self.waiting: list[Request] = []
        self._state = _State.OPEN
        self._prepared = threading.Event()
        self._start_error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread and return when ``prepare`` is done.

        Raises:
            Exception: whatever ``prepare`` raises.
        """
        self._thread.start()
        self._prepared.wait()
        if self._start_error is not None:
            raise self._start_error

    def add(self, *requests: Request) -> None:
        """Queue requests, all or none of them.

        Raises:
            EngineStoppedError: the thread is closed, draining or dead.
        """
        with self.changed:
            if self._state is not _State.OPEN:
                raise EngineStoppedError(STOPPED)
            self.waiting += requests
            self.changed.notify_all()

    def alive(self) -> bool:
        """Whether it takes requests."""
        return self._state is _State.OPEN and self._thread.is_alive()

    def drain(self) -> list[Request]:
        """Take no more requests, and end when those that were begun have ended.

        Returns:
            Those that were not begun, oldest first; the caller answers them.
        """
        with self.changed:
            if self._state is _State.OPEN:
                self._state = _State.DRAINING
            waiting, self.waiting = self.waiting, []
            self.changed.notify_all()
        return waiting

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended; whether it has. Called on the thread itself it does not wait."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Fail every request that has no answer after the present step, and end the thread. Safe to call again."""
        with self.changed:
            self._state = _State.CLOSED
            self.changed.notify_all()
        self.interrupt()
        if not self.join(JOIN_S) and threading.current_thread() is not self._thread:
            log.warning("%s still computes %g s after it was closed", self._thread.name, JOIN_S)

    def take(self, most: int | None = None, admit: Callable[[Request], bool] | None = None) -> list[Request]:
        """Take requests out of the queue, oldest first, for a step; those that are ``gone`` are dropped.

        Args:
            most: so many at most; the others stay in the queue.
            admit: whether there is room for the next one; the first that has none stays, and so do those behind it.
        """
        taken: list[Request] = []
        with self.changed:
            while self._state is not _State.CLOSED and self.waiting and (most is None or len(taken) < most):
                request = self.waiting[0]
                if not self.gone(request):
                    if admit is not None and not admit(request):
                        break
                    taken.append(request)
                del self.waiting[0]
        return taken

    # What a back end supplies

    @abstractmethod
    def step(self) -> None:
        """Take what has arrived, drop what is ``gone``, and compute once for the others.

        An exception ends the thread and fails every request: it means that nothing can be computed any more.
        """

    @abstractmethod
    def running(self) -> Iterable[Request]:
        """Return the requests that ``step`` has taken and not answered."""

    @abstractmethod
    def gone(self, request: Request) -> bool:
        """Whether the caller of ``request`` has cancelled it."""

    @abstractmethod
    def fail(self, request: Request, error: EngineError) -> None:
        """Answer a request with an error; no effect on one that has its answer."""

    def busy(self) -> bool:
        """Whether a step is due although nothing waits."""
        return any(True for _ in self.running())

    def due_s(self) -> float | None:
        """In how many seconds the next step is due: 0 for now, ``None`` for when the next request arrives."""
        return 0.0 if self.waiting or self.busy() else None

    def prepare(self) -> None:
        """Get ready to compute, on the thread."""

    def finish(self) -> None:
        """Tidy up after the last step of a thread that was closed or drained."""

    def interrupt(self) -> None:
        """Have a long step end early; called by the thread that closes."""

    # The thread

    def _run(self) -> None:
        try:
            self.prepare()
        except BaseException as error:  # noqa: BLE001 - the caller of ``start`` gets it
            self._start_error = error
            self._fail_all(EngineError(f"the engine did not start: {error}"))
            return
        finally:
            self._prepared.set()
        reason: EngineError = EngineStoppedError(CLOSED)
        try:
            while self._wait():
                self.step()
            self.finish()
        except BaseException as error:  # a panic of a native library is no Exception, and its callers wait too
            log.exception("the engine died")
            reason = EngineError(f"the engine died: {error}")
        self._fail_all(reason)

    def _wait(self) -> bool:
        """Wait until a step is due; ``False`` when the thread is to end."""
        with self.changed:
            while self._state is not _State.CLOSED:
                due_s = self.due_s()
                if due_s is not None and due_s <= 0:
                    return True
                if due_s is None and self._state is _State.DRAINING:
                    return False
                self.changed.wait(due_s)
            return False

    def _fail_all(self, error: EngineError) -> None:
        with self.changed:
            self._state = _State.CLOSED  # nothing is added from here on
            waiting, self.waiting = self.waiting, []
            self.changed.notify_all()
        for request in (*waiting, *self.running()):
            self.fail(request, error)
