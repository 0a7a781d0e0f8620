"""Handles each message once, however often it is delivered, and different messages concurrently."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

# Of messages that were handled. The senders try one for a day at most; as many in a day need a store of their own.
REMEMBERED = 10_000


class WebhookMessage(Protocol):
    """Something that may be sent again with the same id."""

    @property
    def webhook_id(self) -> str: ...


M = TypeVar("M", bound=WebhookMessage)


class Deliveries(Generic[M]):
    """Gives messages to ``callback``, unless it has handled one with the same id, or is just doing so.

    Args:
        callback: raises where it could not handle the message, which may then be sent again.
        remembered: how many ids to know; the oldest one is forgotten first.
    """

    def __init__(self, callback: Callable[[M], Awaitable[None] | None], *, remembered: int = REMEMBERED) -> None:
        self._callback = callback
        self._remembered = remembered
        self._handled: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def deliver(self, message: M) -> bool:
        """Whether it was handled now, or had been before. Whoever brings it while it is being handled waits as well.

        A sender who hangs up does not stop the callback: it would have to begin again with the next try.

        Raises: what the callback raises, to all who wait.
        """
        name = message.webhook_id
        if name in self._handled:
            return False
        first = name not in self._running
        if first:
            task = self._running[name] = asyncio.create_task(self._handle(message))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # all who waited may have gone
        await asyncio.shield(self._running[name])
        return first

    async def _handle(self, message: M) -> None:
        try:
            if inspect.iscoroutinefunction(self._callback):
                await self._callback(message)
            else:
                found = await asyncio.to_thread(self._callback, message)
                if inspect.isawaitable(found):  # such as a partial's, or that of an object with an async __call__
                    await found
            self._handled[message.webhook_id] = None
            if len(self._handled) > self._remembered:
                self._handled.popitem(last=False)
        finally:
            del self._running[message.webhook_id]
