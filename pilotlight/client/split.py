"""One front for several targets: a split by weight, shadows that see copies, fallbacks for a target that is gone."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pilotlight.client.core import AsyncClient
from pilotlight.client.results import Result
from pilotlight.errors import TargetBusyError, TargetUnavailableError
from pilotlight.traffic import Route, Traffic, choose

_LOG = logging.getLogger(__name__)

# Shadow predictions at once; further copies are dropped, so that a slow shadow costs memory up to here and no more.
MAX_SHADOWS = 16


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """What has become of the copies: ``dropped`` ones were never sent."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0


class SplitClient:
    """Sends each prediction to one of several targets.

    traffic = Traffic({"gateway:http://a": 95, "gateway:http://b": 5}, fallback=("replicate:me/model",))
    async with SplitClient(traffic) as client:
        result = await client.run({"prompt": "..."}, key=user_id)

    Args:
        traffic: the targets, as target strings or as names in ``clients``.
        clients: open clients by name; this one closes them too.
        seed: of the split: another one deals the same keys anew.
        settings: of the clients that are made for target strings.

    Raises:
        UsageError: a target is none.
    """

    def __init__(
        self,
        traffic: Traffic,
        *,
        clients: Mapping[str, AsyncClient] | None = None,
        seed: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        given = dict(clients or {})
        names = dict.fromkeys([*traffic.weights, *traffic.shadows, *traffic.fallback])
        self._clients = {name: given.get(name) or AsyncClient(name, **(settings or {})) for name in names}
        self._traffic = traffic
        self._seed = seed
        self._copies: set[asyncio.Task[None]] = set()
        self.shadows = ShadowCounts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancels the copies that still run, and closes all clients."""
        for task in self._copies:
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)
        async with AsyncExitStack() as stack:
            for client in self._clients.values():
                stack.push_async_callback(client.close)

    def route(self, key: str | None = None) -> Route:
        """Where a prediction with this key goes; without one, it is dealt by chance."""
        return choose(self._traffic, secrets.token_hex(8) if key is None else key, seed=self._seed)

    async def run(self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None) -> Result:
        """As ``AsyncClient.run``, at the target that the key chooses; ``Result.target`` says where it ran.

        A target that cannot be reached or is full is passed over for the next fallback, unless the prediction may
        have begun there.
        """
        route = self.route(key)
        self._shadow(route, inputs, timeout_s)
        *first, last = self._ways(route)
        for name in first:
            try:
                return await self._clients[name].run(inputs, timeout_s=timeout_s)
            except (TargetUnavailableError, TargetBusyError) as error:
                _pass_over(name, error)
        return await self._clients[last].run(inputs, timeout_s=timeout_s)

    async def stream(
        self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """As ``AsyncClient.stream``, at the target that the key chooses; falls back before the first chunk only."""
        route = self.route(key)
        self._shadow(route, inputs, timeout_s)
        ways = self._ways(route)
        for name in ways:
            chunks = 0
            try:
                async with aclosing(self._clients[name].stream(inputs, timeout_s=timeout_s)) as stream:
                    async for chunk in stream:
                        chunks += 1
                        yield chunk
            except (TargetUnavailableError, TargetBusyError) as error:
                if chunks or name == ways[-1]:
                    raise
                _pass_over(name, error)
            else:
                return

    def _ways(self, route: Route) -> list[str]:
        return [route.target, *route.fallback]

    def _shadow(self, route: Route, inputs: Mapping[str, Any], timeout_s: float | None) -> None:
        for name in route.shadows:
            if len(self._copies) >= MAX_SHADOWS:
                self._count(dropped=1)
                continue
            task = asyncio.create_task(self._copy(name, dict(inputs), timeout_s))
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def _copy(self, name: str, inputs: Mapping[str, Any], timeout_s: float | None) -> None:
        self._count(sent=1)
        try:
            await self._clients[name].run(inputs, timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001 - a shadow never fails whom it follows, whatever it runs into
            self._count(failed=1)
            _LOG.info("the shadow %s failed: %s", name, error)

    def _count(self, *, sent: int = 0, failed: int = 0, dropped: int = 0) -> None:
        now = self.shadows
        self.shadows = ShadowCounts(now.sent + sent, now.failed + failed, now.dropped + dropped)


def _pass_over(name: str, error: TargetUnavailableError | TargetBusyError) -> None:
    """Returns when another target may be tried.

    Raises:
        TargetUnavailableError: the prediction may have begun.
    """
    if isinstance(error, TargetUnavailableError) and error.sent:
        raise error
    _LOG.warning("passing over %s: %s", name, error)
