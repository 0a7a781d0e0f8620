"""The clients for code without an event loop, and for code inside one that cannot wait: the same, with blocking calls.

An event loop of its own runs on a thread of its own; every call is handed over to it. So it works wherever it is called
from, a running event loop included, and Ctrl-C while it waits cancels the prediction at the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

from pilotlight.client.connection import Connection, TargetState
from pilotlight.client.core import AsyncClient
from pilotlight.client.handle import Handle
from pilotlight.client.loop import LoopThread
from pilotlight.client.results import Result
from pilotlight.client.settings import ClientSettings, SplitSettings
from pilotlight.client.split import AsyncSplitClient, ShadowCounts
from pilotlight.client.targets.names import Target
from pilotlight.errors import PilotlightError
from pilotlight.traffic.split import Route
from pilotlight.types import Status

C = TypeVar("C", AsyncClient, AsyncSplitClient)


class _Front(Generic[C]):
    """A client that lives on a thread of its own."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._loop = LoopThread()
        try:
            self._client: C = self._loop.run(_made(make))
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
            self._loop.leave(self._client.close())
        finally:
            self._loop.close()


class Client(_Front[AsyncClient]):
    """As ``AsyncClient``, with the same arguments, blocking.

    with Client("project:.") as client:
        print(client.run({"prompt": "def main("}).output)
    """

    def __init__(self, target: str | Target | Connection, **settings: Unpack[ClientSettings]) -> None:
        super().__init__(lambda: AsyncClient(target, **settings))

    @property
    def target(self) -> Target:
        """Where predictions are sent."""
        return self._client.target

    def schema(self) -> Mapping[str, Any] | None:
        """As ``AsyncClient.schema``."""
        return self._loop.run(self._client.schema())

    def state(self) -> TargetState | None:
        """As ``AsyncClient.state``."""
        return self._loop.run(self._client.state())

    def run(
        self, inputs: Mapping[str, Any], *, timeout_s: float | None = None, hedge_after_s: float | None = None
    ) -> Result:
        """As ``AsyncClient.run``."""
        return self._loop.run(self._client.run(inputs, timeout_s=timeout_s, hedge_after_s=hedge_after_s))

    def stream(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> Iterator[Any]:
        """As ``AsyncClient.stream``; leaving the loop over it cancels the prediction."""
        return self._loop.iterate(self._client.stream(inputs, timeout_s=timeout_s))

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
            return self._loop.iterate(self._client.map(inputs, concurrency=concurrency, return_errors=True))
        return self._loop.iterate(self._client.map(inputs, concurrency=concurrency))


class SplitClient(_Front[AsyncSplitClient]):
    """As ``AsyncSplitClient``, with the same arguments, blocking."""

    def __init__(self, weights: Mapping[str, float], **settings: Unpack[SplitSettings]) -> None:
        super().__init__(lambda: AsyncSplitClient(weights, **settings))

    @property
    def shadows(self) -> ShadowCounts:
        """What has become of the copies so far."""
        return self._client.shadows

    def route(self, inputs: Mapping[str, Any], *, key: str | None = None) -> Route:
        """As ``AsyncSplitClient.route``."""
        return self._client.route(inputs, key=key)

    def run(self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None) -> Result:
        """As ``AsyncSplitClient.run``."""
        return self._loop.run(self._client.run(inputs, key=key, timeout_s=timeout_s))

    def stream(
        self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None
    ) -> Iterator[Any]:
        """As ``AsyncSplitClient.stream``; leaving the loop over it cancels the prediction."""
        return self._loop.iterate(self._client.stream(inputs, key=key, timeout_s=timeout_s))

    def submit(
        self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None
    ) -> SyncHandle:
        """As ``AsyncSplitClient.submit``."""
        return SyncHandle(self._loop, self._loop.run(self._client.submit(inputs, key=key, timeout_s=timeout_s)))

    def map(
        self, inputs: Iterable[Mapping[str, Any]], *, concurrency: int = 8, return_errors: bool = False
    ) -> Iterator[Result | PilotlightError]:
        """As ``AsyncSplitClient.map``. ``inputs`` is read on the client's own thread."""
        return self._loop.iterate(self._client.map(inputs, concurrency=concurrency, return_errors=return_errors))


class SyncHandle:
    """As ``Handle``, blocking."""

    def __init__(self, loop: LoopThread, handle: Handle) -> None:
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
        return self._loop.each(self._handle.__aiter__())


async def _made(make: Callable[[], C]) -> C:
    """A client belongs to the loop that it is made on."""
    return make()
