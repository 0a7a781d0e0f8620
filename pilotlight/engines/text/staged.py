"""A start in two stages: a back end that is ready at once serves until the one that batches is ready."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from pilotlight.engines.request_thread import STOPPED
from pilotlight.engines.text.engine import TextBackend
from pilotlight.engines.text.generation import Generation
from pilotlight.errors import EngineError, EngineStoppedError

__all__ = ["FirstStage", "StagedBackend"]

log = logging.getLogger(__name__)


class FirstStage(TextBackend, Protocol):
    """A back end that can be replaced while it serves, such as ``SerialBackend``."""

    def wait_settled(self) -> None:
        """Wait until one request has been answered (the warm-up), or one waits behind another, or no more are taken."""

    def drain(self) -> list[Generation]:
        """Take nothing more; return the requests that were not begun, oldest first, which the caller answers."""

    def join(self) -> object:
        """Wait, after ``drain``, until the last request has ended and the memory is free."""


class StagedBackend:
    """Serve from ``first`` until the second stage is ready; each request is served by one of them to its end.

    The second stage starts when the first has settled: until then the first answer has the processor to itself. When it
    is ready it gets the waiting requests, in their order, and all later ones. If it fails to start, the engine is dead:
    going on with one request at a time would hide the failure.

    Args:
        first: running.
        open_second: blocks until the second stage is ready; called once, on a thread.
        slots, context_tokens, cache_bytes: of the second stage.

    Attributes:
        cache_bytes: of the stages that exist, and the planned bytes of the second one while it starts.
    """

    def __init__(
        self,
        first: FirstStage,
        open_second: Callable[[], TextBackend],
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
        self._second: TextBackend | None = None
        self._closed = False
        self._failed = False  # the second stage did not start
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
        """Wait until the second stage gets all new requests, or has failed; whether that has happened."""
        return self._taken_over.wait(timeout_s)

    def wait_up(self, timeout_s: float) -> bool:
        """Wait until the first stage has ended, too; whether that has happened."""
        return self._up.wait(timeout_s)

    def add(self, generation: Generation, /) -> None:
        with self._lock:
            if self._closed or self._failed:
                raise EngineStoppedError(STOPPED)
            (self._second or self._serving_first()).add(generation)

    def alive(self) -> bool:
        with self._lock:
            if self._closed or self._failed:
                return False
            return (self._second or self._serving_first()).alive()

    def close(self) -> None:
        """Close both stages and wait until no thread is left; a second stage that is starting is waited for."""
        with self._lock:
            self._closed = True
            first, second = self._first, self._second
        if first is not None:
            first.close()
        if second is not None:
            second.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _serving_first(self) -> FirstStage:
        assert self._first is not None, "the first stage ended before the second was ready: this is a bug"
        return self._first

    # The thread that starts the second stage

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
            first.join()
            self._first = None
        except Exception as error:  # noqa: BLE001 - it is logged, and every request is answered
            self._fail(first, error)
        finally:
            self._taken_over.set()
            self._up.set()

    def _take_over(self, first: FirstStage, second: TextBackend) -> bool:
        """Send requests to ``second`` from now on; ``False`` where the engine was closed meanwhile."""
        with self._lock:
            if not self._closed:
                for generation in first.drain():
                    try:
                        second.add(generation)
                    except Exception as error:  # noqa: BLE001 - its caller gets it
                        generation.fail(error)
                self._second = second
                return True
        second.close()
        return False

    def _fail(self, first: FirstStage, error: Exception) -> None:
        log.error("the engine is dead: the stage that batches requests did not start: %s", error)
        with self._lock:
            self._failed = True
            waiting = first.drain()
        for generation in waiting:
            generation.fail(EngineError(f"the engine died as it started: {error}"))
        first.close()
