"""An event loop on its own thread, for blocking calls of asynchronous code.

Calls work from any thread, also inside a running event loop; an exception that interrupts the wait cancels the work.
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
    """An event loop on its own thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pilotlight-client", daemon=True)
        self._thread.start()
        # Generators being read; ``leave`` closes them before the connection they read from is closed.
        self._reading: set[AsyncGenerator[Any, None]] = set()
        # Tasks that other threads wait for.
        self._calls: set[asyncio.Task[Any]] = set()
        self._leaving = False
        # No work is accepted once this is set, so that no thread waits for a loop that has stopped.
        self._stopped = False
        self._handing_over = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and return its result. An interrupted wait cancels it and waits for its cleanup.

        Raises:
            UsageError: the loop is closed, or the caller is on the loop's own thread.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError("a blocking call on the client's own thread (such as in map's inputs): use another client")
        try:
            return self._wait(work)
        except UsageError:
            raise
        except Exception as error:
            # Closing the client cancels tasks and closes generators, so errors after that are its consequence.
            if self._leaving:
                raise UsageError("the client is closed") from error
            raise

    def _wait(self, work: Coroutine[Any, Any, T], *, leaving: bool = False) -> T:
        """As ``run``; once leaving has begun, only work with ``leaving`` set is accepted."""
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
        """Schedule ``work`` on the loop; return futures of its task and of its result."""
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
        """Yield ``items`` one by one; leaving the loop over them early closes the generator."""
        self._reading.add(items)
        try:
            yield from self.each(items)
        finally:
            self._reading.discard(items)
            # When the client is being closed, ``leave`` closes the generator, perhaps at this moment.
            with suppress(RuntimeError, UsageError):
                self.run(items.aclose())

    def each(self, items: AsyncIterator[T]) -> Iterator[T]:
        """As ``iterate``, for an iterator that needs no closing."""
        while True:
            try:
                item = self.run(_next(items))
            except _EndError:
                return
            yield item

    def leave(self, then: Coroutine[Any, Any, None]) -> None:
        """Cancel what other threads wait for, close all generators being read, and then run ``then``."""
        with self._handing_over:
            self._leaving = True
        self._wait(self._cancel_calls(), leaving=True)
        for items in list(self._reading):
            with suppress(RuntimeError):  # its reader is closing it at this moment
                self._wait(items.aclose(), leaving=True)
        self._wait(then, leaving=True)

    @property
    def closed(self) -> bool:
        """Whether the loop accepts no more work."""
        return self._stopped

    def close(self) -> None:
        """Cancel what still runs on the loop, and end the thread."""
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
    """Copy a task's result or error to the future of a waiting thread."""
    if task.cancelled():
        ended.set_exception(CancelledError())
    elif (error := task.exception()) is not None:
        ended.set_exception(error)
    else:
        ended.set_result(task.result())


class _EndError(Exception):
    """No further item; used because ``StopAsyncIteration`` cannot leave a coroutine."""


async def _next(items: AsyncIterator[T]) -> T:
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise _EndError from None
