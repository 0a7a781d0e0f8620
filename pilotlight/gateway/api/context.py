"""What a gateway does beside running predictions: webhooks, deadlines, and removing what is not kept."""

from __future__ import annotations

from typing import Self

from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.headers import RequestOptions
from pilotlight.gateway.egress.client import EgressClient
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.deadlines import Deadlines
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.storage.files import Files
from pilotlight.gateway.storage.retention import Retention, RetentionPolicy
from pilotlight.gateway.webhooks.delivery import WebhookDispatcher

# After the gateway has closed, for webhooks of what has just ended.
_GRACE_S = 5.0


class BackgroundServices:
    """The services of one gateway; ``async with`` opens and closes them. Close the gateway before.

    Args:
        gateway: an open gateway.
        files: its uploads.
        egress: sends requests to the receivers of webhooks.
        retention: what is kept of predictions, and for how long.
    """

    def __init__(
        self, gateway: Gateway, files: Files, egress: EgressClient, retention: RetentionPolicy | None = None
    ) -> None:
        self.dispatcher = WebhookDispatcher(gateway, egress, replicate_schemas.prediction)
        self.deadlines = Deadlines(gateway)
        self._retention = Retention(gateway.store, files, retention or RetentionPolicy(), gateway.clock)

    async def __aenter__(self) -> Self:
        await self.dispatcher.open()
        await self.deadlines.open()
        await self._retention.open()
        return self

    def schedule(self, active: ActivePrediction, options: RequestOptions) -> None:
        """Do what was stored with a prediction."""
        if options.subscription is not None:
            self.dispatcher.follow(active, options.subscription)
        if options.cancel_at is not None:
            self.deadlines.set(active, options.cancel_at)

    async def __aexit__(self, *_: object) -> None:
        await self.deadlines.close()
        await self.dispatcher.close(_GRACE_S)
        await self._retention.close()
