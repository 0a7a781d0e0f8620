"""Handles each message once, however often it is delivered; different messages are handled concurrently."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

# Number of handled ids to remember. Senders retry for at most a day; a receiver of more messages per day needs a store.
REMEMBERED = 10_000


class WebhookMessage(Protocol):
    """A message with an id that is the same for every delivery attempt."""

    @property
    def webhook_id(self) -> str: ...


M = TypeVar("M", bound=WebhookMessage)


class Deliveries(Generic[M]):
    """Passes messages to ``callback``, except those whose id was handled before or is being handled.

    Args:
        callback: raises if it could not handle the message, which may then be delivered again.
        remembered: number of ids to remember; the oldest is forgotten first.
    """

    def __init__(self, callback: Callable[[M], Awaitable[None] | None], *, remembered: int = REMEMBERED) -> None:
        self._callback = callback
        self._remembered = remembered
        self._handled: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def deliver(self, message: M) -> bool:
        """Return True if the message was handled now and False if before; a duplicate waits for the one being handled.

        The callback continues when the sender disconnects, because otherwise the next attempt would start it anew.

        Raises: the callback's exception, in every call that waits for it.
        """
        name = message.webhook_id
        if name in self._handled:
            return False
        first = name not in self._running
        if first:
            task = self._running[name] = asyncio.create_task(self._handle(message))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # callers may have left
        await asyncio.shield(self._running[name])
        return first

    async def _handle(self, message: M) -> None:
        try:
            if inspect.iscoroutinefunction(self._callback):
                await self._callback(message)
            else:
                found = await asyncio.to_thread(self._callback, message)
                if inspect.isawaitable(found):  # such as that of a partial, or of an object with an async __call__
                    await found
            self._handled[message.webhook_id] = None
            if len(self._handled) > self._remembered:
                self._handled.popitem(last=False)
        finally:
            del self._running[message.webhook_id]
