"""One client for several targets: a split by weight, shadows that receive copies, fallbacks for failing targets."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, Unpack

from pilotlight.client.core import AsyncClient
from pilotlight.client.handle import Handle
from pilotlight.client.http import Retry
from pilotlight.client.inputs import read_open_files
from pilotlight.client.many import in_order
from pilotlight.client.results import Result
from pilotlight.client.settings import ClientSettings, Shadow, Sticky, TargetSettings
from pilotlight.errors import DeadlineError, PilotlightError, SetupFailedError, TargetBusyError, TargetUnavailableError
from pilotlight.traffic.split import Route, Traffic, choose

_LOG = logging.getLogger(__name__)

# Maximum number of concurrent shadow predictions. Further copies are dropped, which bounds the memory they use.
MAX_SHADOWS = 16
# Retries at targets that have a fallback: the fallback answers sooner than a target that is down or full recovers.
IMPATIENT = Retry(tries=2, cap_s=1.0, patience_s=1.0)


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """Counts of shadow predictions by outcome; ``dropped`` ones were never sent."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0


class AsyncSplitClient:
    """Sends each prediction to one of several targets.

    weights = {"gateway:http://a": 95, "gateway:http://b": 5}
    async with AsyncSplitClient(weights, fallback=["replicate:me/model"]) as client:
        result = await client.run({"prompt": "..."}, key=user_id)

    Args:
        weights: weights by target, in any unit. Two targets make an A/B test; one with a small weight is a canary.
        sticky: keeps predictions with the same key at one target: the name of an input, such as ``user``, or a function
            of the inputs. A call's own ``key`` takes precedence; without a key, the target is drawn at random.
        shadow: a target that receives a copy of every prediction, or targets with the share (0 to 1) of keys whose
            predictions they receive. A copy is sent once the prediction is accepted; ``shadows`` counts their outcomes.
        fallback: targets to try, in this order, when the chosen one cannot be reached, is full, or cannot be set up.
            All share the prediction's time limit. With fallbacks, requests are retried only briefly (``IMPATIENT``)
            unless ``retry`` is given.
        repeatable: whether a prediction may run twice. If so, a fallback is also tried when the prediction may have
            begun at a target that failed, or did not begin within ``Timeouts.wait_s``; never after output was yielded.
        seed: of the split: another seed assigns the same keys to targets anew.
        earlier: the weights that were in use before, oldest first: with them, the change to ``weights`` moves as few
            keys to another target as it can, for any number of targets.
        each: settings of single targets, such as their tokens, in addition to those for all. If they contain
            ``target``, the key in ``weights`` and the other arguments is only a label.
        settings: of all clients, as ``AsyncClient`` describes.

    Raises:
        UsageError: a target string is invalid, or there is no target to choose.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        sticky: Sticky | None = None,
        shadow: Shadow | None = None,
        fallback: str | Sequence[str] = (),
        repeatable: bool = False,
        seed: str = "",
        earlier: Sequence[Mapping[str, float]] = (),
        each: Mapping[str, TargetSettings] | None = None,
        **settings: Unpack[ClientSettings],
    ) -> None:
        shadows = {shadow: 1.0} if isinstance(shadow, str) else dict(shadow or {})
        ways = (fallback,) if isinstance(fallback, str) else tuple(fallback)
        self.traffic = Traffic(weights, shadows, ways, tuple(earlier))
        if ways:
            settings.setdefault("retry", IMPATIENT)
        names = dict.fromkeys([*weights, *shadows, *ways])
        self._clients: dict[str, AsyncClient] = {}
        for name in names:
            given: dict[str, Any] = {"target": name, **settings, **(each or {}).get(name, {})}
            self._clients[name] = AsyncClient(**given)
        self._sticky = sticky
        self._repeatable = repeatable
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
        """Cancel the shadow predictions that are running, and close all clients."""
        for task in self._copies:
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)
        async with AsyncExitStack() as stack:
            for client in self._clients.values():
                stack.push_async_callback(client.close)

    def route(self, inputs: Mapping[str, Any], *, key: str | None = None) -> Route:
        """Return the route of a prediction; without a sticky key, the target is drawn at random on each call."""
        if key is None:
            key = key_of(inputs, self._sticky)
        return choose(self.traffic, secrets.token_hex(8) if key is None else key, seed=self._seed)

    async def run(self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None) -> Result:
        """As ``AsyncClient.run``, at the target that ``sticky`` or ``key`` chooses; ``Result.target`` is where it ran.

        Raises: as ``AsyncClient.run``: the error of the last target that was tried.
        """
        route = self.route(inputs, key=key)
        inputs = await read_open_files(inputs)
        for attempt in self._attempts(route, timeout_s):
            with attempt:
                async with attempt.client.running(inputs, timeout_s=attempt.timeout_s) as handle:
                    self._shadow(route, inputs, timeout_s)
                    return (await handle.wait()).raise_for_status()
        raise AssertionError("this is a bug: the last target's error was passed over")

    async def stream(
        self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """As ``AsyncClient.stream``, at the target that ``sticky`` or ``key`` chooses."""
        route = self.route(inputs, key=key)
        inputs = await read_open_files(inputs)
        for attempt in self._attempts(route, timeout_s):
            with attempt:
                async with attempt.client.running(inputs, timeout_s=attempt.timeout_s) as handle:
                    self._shadow(route, inputs, timeout_s)
                    async for chunk in handle:
                        attempt.last = True  # output that was yielded cannot be withdrawn
                        yield chunk
                    (await handle.wait()).raise_for_status()
                return

    async def submit(
        self, inputs: Mapping[str, Any], *, key: str | None = None, timeout_s: float | None = None
    ) -> Handle:
        """As ``AsyncClient.submit``; fallbacks are tried only until a target has accepted the prediction."""
        route = self.route(inputs, key=key)
        inputs = await read_open_files(inputs)
        for attempt in self._attempts(route, timeout_s):
            with attempt:
                handle = await attempt.client.submit(inputs, timeout_s=attempt.timeout_s)
                self._shadow(route, inputs, timeout_s)
                return handle
        raise AssertionError("this is a bug: the last target's error was passed over")

    def map(
        self, inputs: Iterable[Mapping[str, Any]], *, concurrency: int = 8, return_errors: bool = False
    ) -> AsyncGenerator[Result | PilotlightError, None]:
        """As ``AsyncClient.map``, each at the target that ``sticky`` chooses."""
        return in_order(self.run, inputs, concurrency=concurrency, return_errors=return_errors)

    def _attempts(self, route: Route, timeout_s: float | None) -> Iterator[_Attempt]:
        """Yield the attempts in order; the caller stops when one succeeds or its error excludes further attempts."""
        total_s = self._clients[route.target].timeouts.total_s if timeout_s is None else timeout_s
        until = None if total_s is None else time.monotonic() + total_s
        names = [route.target, *route.fallback]
        for name in names:
            left_s = timeout_s if until is None or name == route.target else max(0.0, until - time.monotonic())
            yield _Attempt(name, self._clients[name], left_s, until, name == names[-1], self._repeatable)

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
        except Exception as error:  # noqa: BLE001 - a failing shadow must never affect the prediction it copies
            self._count(failed=1)
            _LOG.info("the shadow %s failed: %s", name, error)

    def _count(self, *, sent: int = 0, failed: int = 0, dropped: int = 0) -> None:
        now = self.shadows
        self.shadows = ShadowCounts(now.sent + sent, now.failed + failed, now.dropped + dropped)


@dataclass(slots=True)
class _Attempt:
    """Context of an attempt at one target; suppresses errors after which the next target may be tried."""

    name: str
    client: AsyncClient
    timeout_s: float | None
    until: float | None
    last: bool
    repeatable: bool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or self.last or not may_go_elsewhere(error, repeatable=self.repeatable):
            return False
        if self.until is not None and time.monotonic() >= self.until:
            return False
        _LOG.warning("target %s failed, trying the next one: %s", self.name, error)
        return True


def may_go_elsewhere(error: BaseException, *, repeatable: bool) -> bool:
    """Return whether a failed prediction may be sent to another target. Pure.

    Args:
        error: how the prediction failed.
        repeatable: whether it may run twice; if not, only a prediction that cannot have begun is sent again.
    """
    match error:
        case TargetBusyError() | SetupFailedError():
            return True
        case TargetUnavailableError():
            return repeatable or not error.sent
        case DeadlineError():
            return repeatable and error.phase == "wait"
    return False


def key_of(inputs: Mapping[str, Any], sticky: Sticky | None) -> str | None:
    """Return the sticky key of a prediction, or ``None`` if it has none. Pure."""
    if sticky is None:
        return None
    value = sticky(inputs) if callable(sticky) else inputs.get(sticky)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str)
