"""A start in two stages: a backend that is up at once serves until the one that serves many is up behind it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from pilotlight.engines.text.engine import Backend
from pilotlight.engines.text.generation import Generation
from pilotlight.errors import EngineError, EngineStoppedError, PilotlightError

__all__ = ["FirstStage", "StagedBackend"]

log = logging.getLogger(__name__)


class FirstStage(Backend, Protocol):
    """A backend that can leave: what it has begun it ends, what waits goes elsewhere."""

    def wait_settled(self) -> None:
        """Wait until it has answered once (that is the warm-up), or somebody waits behind another, or it leaves."""

    def hand_over(self) -> list[Generation]:
        """Take nothing more; those not begun yet, in order, which are now the caller's."""

    def wait_ended(self) -> None:
        """Wait, after ``hand_over``, until the last request has ended and the memory is free."""


class StagedBackend:
    """``first``, then what ``open_second`` brings up on a thread; each request is served by one of them to its end.

    The second is begun when the first has settled: until then the processor belongs to the first answer. From the
    moment that it is up, it gets the requests that wait, in their order, and all later ones. Should it fail to come up,
    the engine is dead: serving on, one at a time, would hide it.

    Args:
        first: running.
        open_second: blocks until the second is up; called once, on a thread.
        slots, context_tokens, cache_bytes: of the second.

    Attributes:
        cache_bytes: of whatever stages there are; the second's count from the start, for they are not to be given away.
    """

    def __init__(
        self,
        first: FirstStage,
        open_second: Callable[[], Backend],
        *,
        slots: int,
        context_tokens: int,
        cache_bytes: int,
    ) -> None:
        self.slots = slots
        self.context_tokens = context_tokens
        self._planned_bytes = cache_bytes
        self._first: FirstStage | None = first
        self._open_second = open_second
        self._second: Backend | None = None
        self._closed = False
        self._reason: str | None = None  # why the second failed
        self._lock = threading.Lock()
        self._taken_over = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._bring_up, args=(first,), name="pilotlight-second", daemon=True)
        self._thread.start()

    @property
    def cache_bytes(self) -> int:
        first, second = self._first, self._second
        planned = self._planned_bytes if second is None else second.cache_bytes
        return planned if first is None else first.cache_bytes + planned

    @property
    def starting(self) -> bool:
        """Whether requests still go to the first stage."""
        return self._second is None

    def wait_taken_over(self, timeout_s: float) -> bool:
        """Wait until the second stage gets all new requests, or never will; whether that has come."""
        return self._taken_over.wait(timeout_s)

    def wait_up(self, timeout_s: float) -> bool:
        """Wait until the first stage is gone, too; whether that has come."""
        return self._up.wait(timeout_s)

    def add(self, generation: Generation) -> None:
        with self._lock:
            if self._closed or self._reason is not None:
                raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")
            (self._second or self._serving_first()).add(generation)

    def cancel(self, generation: Generation) -> None:
        """Nothing to do: both stages look at their generations before every token."""

    def alive(self) -> bool:
        with self._lock:
            if self._closed or self._reason is not None:
                return False
            return (self._second or self._serving_first()).alive()

    def close(self) -> None:
        """Returns when no thread is left; a second stage that is on its way up is waited for, then closed."""
        with self._lock:
            self._closed = True
            first, second = self._first, self._second
        if first is not None:
            first.close()
        if second is not None:
            second.close()
        self._thread.join()

    def _serving_first(self) -> FirstStage:
        assert self._first is not None, "the first stage left before the second was up: this is a bug"
        return self._first

    # The thread's side

    def _bring_up(self, first: FirstStage) -> None:
        try:
            first.wait_settled()
            if self._closed:
                return
            started = time.monotonic()
            second = self._open_second()
            if not self._take_over(first, second):
                return
            self._taken_over.set()
            log.info("requests are batched from now on; that took %.2f s in the background", time.monotonic() - started)
            first.wait_ended()
            self._first = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said, and nobody is left waiting
            self._fail(first, error)
        finally:
            self._taken_over.set()
            self._up.set()

    def _take_over(self, first: FirstStage, second: Backend) -> bool:
        """Whether ``second`` serves now; ``False`` where the engine was closed meanwhile."""
        with self._lock:
            if not self._closed:
                for generation in first.hand_over():
                    try:
                        second.add(generation)
                    except PilotlightError as error:
                        generation.fail(error)
                self._second = second
                return True
        second.close()
        return False

    def _fail(self, first: FirstStage, error: Exception) -> None:
        log.error("the engine is dead: the stage that batches requests did not come up: %s", error)
        with self._lock:
            self._reason = str(error)
            waiting = first.hand_over()
        for generation in waiting:
            generation.fail(EngineError(f"the engine died as it started: {error}"))
        first.close()
