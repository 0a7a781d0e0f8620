"""An event loop on its own thread, for blocking calls of asynchronous code.

So they work wherever they come from, a running event loop included, and what interrupts the wait cancels the work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from typing import Any, TypeVar

from pilotlight.errors import UsageError

T = TypeVar("T")


class LoopThread:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pilotlight-client", daemon=True)
        self._thread.start()
        # What is being read, to be left before what it reads from is closed.
        self._reading: set[AsyncGenerator[Any, None]] = set()
        # What threads wait for.
        self._calls: set[asyncio.Task[Any]] = set()
        self._leaving = False
        # Nothing is handed over after this, so that nobody waits for what a stopped loop will never do.
        self._stopped = False
        self._handing_over = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for ``work``; whatever interrupts the wait cancels it, and waits until it has cleaned up.

        Raises:
            UsageError: the loop is closed, or it is this very loop that would wait.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError("this is the client's own thread, as in the inputs of map: make another client for it")
        try:
            return self._wait(work)
        except UsageError:
            raise
        except Exception as error:
            # Whatever it met, it met because of that: a cancel of its own, a reader that is being closed.
            if self._leaving:
                raise UsageError("the client is closed") from error
            raise

    def _wait(self, work: Coroutine[Any, Any, T], *, leaving: bool = False) -> T:
        """As ``run``; only what belongs to ``leaving`` is still taken once that has begun."""
        with self._handing_over:
            if self._stopped or (self._leaving and not leaving):
                work.close()
                raise UsageError("the client is closed")
            made, ended = self._hand_over(work)
        try:
            return ended.result()
        except BaseException:
            if not ended.done():
                self._loop.call_soon_threadsafe(made.result().cancel)
                wait([ended])
            raise

    def _hand_over(self, work: Coroutine[Any, Any, T]) -> tuple[Future[asyncio.Task[T]], Future[T]]:
        """The task, once the loop has made it, and its end."""
        made: Future[asyncio.Task[T]] = Future()
        ended: Future[T] = Future()

        def start() -> None:
            task = self._loop.create_task(work)
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            task.add_done_callback(lambda done: _pass_on(done, ended))
            made.set_result(task)

        self._loop.call_soon_threadsafe(start)
        return made, ended

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """``items``, one after the other; leaving them early closes them."""
        self._reading.add(items)
        try:
            yield from self.each(items)
        finally:
            self._reading.discard(items)
            # Where the client is being closed, what closes it closes these as well, and may be at it just now.
            with suppress(RuntimeError, UsageError):
                self.run(items.aclose())

    def each(self, items: AsyncIterator[T]) -> Iterator[T]:
        """As ``iterate``, of what need not be closed."""
        while True:
            try:
                item = self.run(_next(items))
            except _EndError:
                return
            yield item

    def leave(self, then: Coroutine[Any, Any, None]) -> None:
        """Cancels what other threads wait for, closes all that is being iterated over, and waits for ``then``."""
        with self._handing_over:
            self._leaving = True
        self._wait(self._cancel_calls(), leaving=True)
        for items in list(self._reading):
            with suppress(RuntimeError):  # its reader closes it just now
                self._wait(items.aclose(), leaving=True)
        self._wait(then, leaving=True)

    @property
    def closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._stopped

    def close(self) -> None:
        """Ends what still runs on it, then the thread."""
        with self._handing_over:
            self._stopped = self._leaving = True
            _, ended = self._hand_over(self._end_all())
        ended.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_calls(self) -> None:
        calls = self._calls - {asyncio.current_task()}
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _end_all(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._loop.shutdown_asyncgens()


def _pass_on(task: asyncio.Task[T], ended: Future[T]) -> None:
    """How the task has ended, for a thread that waits."""
    if task.cancelled():
        ended.set_exception(CancelledError())
    elif (error := task.exception()) is not None:
        ended.set_exception(error)
    else:
        ended.set_result(task.result())


class _EndError(Exception):
    """There is no further item: ``StopAsyncIteration`` cannot leave a coroutine."""


async def _next(items: AsyncIterator[T]) -> T:
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise _EndError from None
