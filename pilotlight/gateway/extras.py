"""What a gateway does beside running predictions: webhooks, deadlines, and forgetting what is not to be kept."""

from __future__ import annotations

from typing import Self

from pilotlight.gateway.courier import Courier
from pilotlight.gateway.deadlines import Deadlines
from pilotlight.gateway.files import Files
from pilotlight.gateway.gateway import Gateway
from pilotlight.gateway.live import Live
from pilotlight.gateway.outward import Outward
from pilotlight.gateway.retention import Keep, Retention
from pilotlight.gateway.wishes import Wishes

# After the gateway has closed, for webhooks of what has just ended.
_GRACE_S = 5.0


class Extras:
    """All of it, for one gateway; ``async with`` opens and closes it. Close the gateway before.

    Args:
        gateway: an open one.
        files: its uploads.
        outward: reaches the receivers of webhooks.
        keep: what is kept, and for how long.
    """

    def __init__(self, gateway: Gateway, files: Files, outward: Outward, keep: Keep | None = None) -> None:
        self.courier = Courier(gateway, outward)
        self.deadlines = Deadlines(gateway)
        self._retention = Retention(gateway.store, files, keep or Keep(), gateway.clock)

    async def __aenter__(self) -> Self:
        await self.courier.open()
        await self.deadlines.open()
        await self._retention.open()
        return self

    def heed(self, live: Live, wishes: Wishes) -> None:
        """Does what was stored with a prediction."""
        if wishes.hook is not None:
            self.courier.follow(live, wishes.hook)
        if wishes.cancel_at is not None:
            self.deadlines.set(live, wishes.cancel_at)

    async def __aexit__(self, *_: object) -> None:
        await self.deadlines.close()
        await self.courier.close(_GRACE_S)
        await self._retention.close()
