"""Streaming, concurrency and cancel together, under coglet 0.23.

coglet offers any two of the three: a sync generator streams and cancels but runs alone; an async generator runs with
others but its output is sent at its end; an ``async def predict`` that *returns* a sync generator streams and runs with
others, but does not get cancels. This module makes cancels reach the last one.

coglet submits each prediction through ``asyncio.run_coroutine_threadsafe``, looked up by name, keeps the future it gets
and calls its ``cancel`` when the prediction is cancelled, whether or not the coroutine has already returned its
generator. ``install`` wraps that function: the coroutine runs with a fresh ``CancelSignal`` as ``current_signal()``,
and the future's ``cancel`` sets it.

It costs one more coroutine frame per prediction, and wraps a function of the standard library in the process that
imports ``predict.py``. If coglet changes, the signal is ``None`` or never set: predictions still stream and run
together, and a cancelled one runs to its end. ``tests/cog/test_predictor.py`` tests this with the pinned coglet.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["CancelSignal", "current_signal", "install"]

T = TypeVar("T")

_current: ContextVar[CancelSignal | None] = ContextVar("pilotlight_cancel_signal", default=None)


class CancelSignal:
    """A cancel: set once, from any thread; its callbacks are called once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._is_set = False

    def set(self) -> None:
        """Call the callbacks; no effect the second time."""
        with self._lock:
            if self._is_set:
                return
            self._is_set = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def call_on_set(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the thread that sets the signal, or now if it is set already."""
        with self._lock:
            if not self._is_set:
                self._callbacks.append(callback)
                return
        callback()


def current_signal() -> CancelSignal | None:
    """Return the cancel signal of the prediction that this coroutine serves; ``None`` outside of one."""
    return _current.get()


def install(module: Any = asyncio) -> None:
    """Wrap ``module.run_coroutine_threadsafe``; doing it again has no effect."""
    original = module.run_coroutine_threadsafe
    if getattr(original, "_pilotlight", False):
        return

    def run_coroutine_threadsafe(coro: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> Future[T]:
        signal = CancelSignal()

        async def with_signal() -> T:
            _current.set(signal)
            return await coro

        future: Future[T] = original(with_signal(), loop)
        cancel = future.cancel

        def cancel_and_signal() -> bool:
            signal.set()
            return cancel()

        future.cancel = cancel_and_signal  # type: ignore[method-assign]  # the purpose of this module
        return future

    run_coroutine_threadsafe._pilotlight = True  # type: ignore[attr-defined]  # marks it as wrapped
    module.run_coroutine_threadsafe = run_coroutine_threadsafe
