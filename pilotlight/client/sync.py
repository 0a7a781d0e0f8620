"""Blocking versions of the clients.

Each client runs an event loop on its own thread and hands every call to it. Calls therefore work from anywhere, also
inside a running event loop, and Ctrl-C during a call cancels the prediction at the target.
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
    """Base of the blocking clients: an asynchronous client on its own thread."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._loop = LoopThread()
        try:
            self._client: C = self._loop.run(_call(make))
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
        """Cancel what is being streamed or mapped, close the connection, and end the thread. May be called twice."""
        if self._loop.closed:
            return
        try:
            self._loop.leave(self._client.close())
        finally:
            self._loop.close()


class Client(_Front[AsyncClient]):
    """Blocking ``AsyncClient`` with the same arguments.

    with Client("project:.") as client:
        print(client.run({"prompt": "def main("}).output)
    """

    def __init__(self, target: str | Target | Connection, **settings: Unpack[ClientSettings]) -> None:
        super().__init__(lambda: AsyncClient(target, **settings))

    @property
    def target(self) -> Target:
        """The target that predictions are sent to."""
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
    """Blocking ``AsyncSplitClient`` with the same arguments."""

    def __init__(self, weights: Mapping[str, float], **settings: Unpack[SplitSettings]) -> None:
        super().__init__(lambda: AsyncSplitClient(weights, **settings))

    @property
    def shadows(self) -> ShadowCounts:
        """Counts of shadow predictions by outcome, so far."""
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
    """Blocking ``Handle``."""

    def __init__(self, loop: LoopThread, handle: Handle) -> None:
        self._loop = loop
        self._handle = handle

    @property
    def id(self) -> str:
        """The target's id for the prediction."""
        return self._handle.id

    @property
    def logs(self) -> str:
        """The prediction's logs so far."""
        return self._handle.logs

    @property
    def metrics(self) -> dict[str, Any]:
        """The prediction's metrics so far."""
        return self._handle.metrics

    def status(self) -> Status:
        """Return the last known status."""
        return self._loop.run(self._handle.status())

    def wait(self) -> Result:
        """As ``Handle.wait``."""
        return self._loop.run(self._handle.wait())

    def cancel(self) -> None:
        """As ``Handle.cancel``."""
        self._loop.run(self._handle.cancel())

    def __iter__(self) -> Iterator[Any]:
        return self._loop.each(self._handle.__aiter__())


async def _call(make: Callable[[], C]) -> C:
    """Create a client on the event loop that it will use."""
    return make()
