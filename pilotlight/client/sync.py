"""The client for code without an event loop, and for code inside one that cannot wait: the same, with blocking calls.

An event loop of its own runs on a thread of its own; every call is handed over to it. So it works wherever it is called
from, a running event loop included, and Ctrl-C while it waits cancels the prediction at the target.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from pilotlight.client.core import AsyncClient
from pilotlight.client.handle import Handle
from pilotlight.client.results import Result
from pilotlight.client.targets import Target
from pilotlight.errors import PilotlightError, UsageError
from pilotlight.types import Status

T = TypeVar("T")


class _Loop:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pilotlight-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for ``work``; whatever interrupts the wait cancels it, and waits until it has cleaned up.

        Raises:
            UsageError: the loop is closed, or it is this very loop that would wait.
        """
        if self.closed or threading.current_thread() is self._thread:
            work.close()
            if self.closed:
                raise UsageError("the client is closed")
            raise UsageError("this is the client's own thread, as in the inputs of map: make another client for it")
        made: Future[asyncio.Task[T]] = Future()
        ended: Future[T] = Future()

        def start() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda done: _pass_on(done, ended))
            made.set_result(task)

        self._loop.call_soon_threadsafe(start)
        try:
            return ended.result()
        except BaseException:
            if not ended.done():
                self._loop.call_soon_threadsafe(made.result().cancel)
                wait([ended])
            raise

    @property
    def closed(self) -> bool:
        """Whether nothing can run on it any more."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Ends what still runs on it, then the thread."""
        self.run(self._end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

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


class Client:
    """As ``AsyncClient``, with the same arguments, blocking.

    with Client("project:.") as client:
        print(client.run({"prompt": "def main("}).output)
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._loop = _Loop()
        # What is being read, to be left before the connection is closed.
        self._reading: set[AsyncGenerator[Any, None]] = set()
        try:
            self._client = self._loop.run(_make(args, settings))
        except BaseException:
            self._loop.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels what is being streamed or mapped, closes the connection, and ends the thread; twice is once."""
        if self._loop.closed:
            return
        try:
            for items in list(self._reading):
                with suppress(RuntimeError):  # another thread waits for the next item: it ends with the loop
                    self._loop.run(items.aclose())
            self._loop.run(self._client.close())
        finally:
            self._loop.close()

    @property
    def target(self) -> Target:
        """Where predictions are sent."""
        return self._client.target

    def schema(self) -> Mapping[str, Any] | None:
        """As ``AsyncClient.schema``."""
        return self._loop.run(self._client.schema())

    def run(
        self, inputs: Mapping[str, Any], *, timeout_s: float | None = None, hedge_after_s: float | None = None
    ) -> Result:
        """As ``AsyncClient.run``."""
        return self._loop.run(self._client.run(inputs, timeout_s=timeout_s, hedge_after_s=hedge_after_s))

    def stream(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> Iterator[Any]:
        """As ``AsyncClient.stream``; leaving the loop over it cancels the prediction."""
        return self._iterate(self._client.stream(inputs, timeout_s=timeout_s))

    def submit(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> SyncHandle:
        """As ``AsyncClient.submit``."""
        return SyncHandle(self._loop, self._loop.run(self._client.submit(inputs, timeout_s=timeout_s)))

    def attach(self, job_id: str) -> SyncHandle:
        """As ``AsyncClient.attach``."""
        return SyncHandle(self._loop, self._loop.run(self._client.attach(job_id)))

    def map(
        self, inputs: Iterable[Mapping[str, Any]], *, concurrency: int = 8, return_errors: bool = False
    ) -> Iterator[Result | PilotlightError]:
        """As ``AsyncClient.map``. ``inputs`` is read on the client's own thread."""
        if return_errors:
            return self._iterate(self._client.map(inputs, concurrency=concurrency, return_errors=True))
        return self._iterate(self._client.map(inputs, concurrency=concurrency))

    def _iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        self._reading.add(items)
        try:
            while True:
                try:
                    item = self._loop.run(_next(items))
                except _EndError:
                    return
                yield item
        finally:
            self._reading.discard(items)
            if not self._loop.closed:
                self._loop.run(items.aclose())


class SyncHandle:
    """As ``Handle``, blocking."""

    def __init__(self, loop: _Loop, handle: Handle) -> None:
        self._loop = loop
        self._handle = handle

    @property
    def id(self) -> str:
        """The target's name for it."""
        return self._handle.id

    @property
    def logs(self) -> str:
        """What it has printed so far."""
        return self._handle.logs

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers so far."""
        return self._handle.metrics

    def status(self) -> Status:
        """How it stands, as last heard."""
        return self._loop.run(self._handle.status())

    def wait(self) -> Result:
        """Its end, whichever it is."""
        return self._loop.run(self._handle.wait())

    def cancel(self) -> None:
        """Has the target end it."""
        self._loop.run(self._handle.cancel())

    def __iter__(self) -> Iterator[Any]:
        items = self._handle.__aiter__()
        while True:
            try:
                yield self._loop.run(_next(items))
            except _EndError:
                return


class _EndError(Exception):
    """There is no further item: ``StopAsyncIteration`` cannot leave a coroutine."""


async def _next(items: Any) -> Any:
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise _EndError from None


async def _make(args: tuple[Any, ...], settings: dict[str, Any]) -> AsyncClient:
    return AsyncClient(*args, **settings)
