"""Delivers webhooks, beside the predictions and never in their way.

While a prediction runs, a task of its own follows it and sends what is new; the end of each is delivered from the
database, by one loop that bounds how much is on its way, in all and to one receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from pilotlight.errors import PilotlightError, StoreError
from pilotlight.gateway.egress.addresses import RefusedUrlError, check_url
from pilotlight.gateway.egress.client import EgressClient
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.webhooks.events import (
    EVENTS,
    THROTTLE_S,
    TIMEOUT_S,
    DeliveryState,
    WebhookSubscription,
    new_delivery_id,
    next_event,
    sign,
    told_by,
)
from pilotlight.gateway.webhooks.outbox import Outbox

_LOG = logging.getLogger(__name__)

# Ends on their way: in all, and to one receiver, so that one that is slow leaves room for the others. As many starts
# and progress of predictions that run may be on their way to one receiver.
_MOST = 64
_MOST_TO_ONE = 8
# To look at a prediction costs as much as it has said: it is not looked at for every word.
_GATHER_S = 0.05
# A database that cannot be read now may be readable then.
_STORE_PAUSE_S = 1.0


Render = Callable[[PredictionRecord, str], Mapping[str, object]]


class WebhookDispatcher:
    """Delivers the webhooks of ``gateway``, from ``open`` to ``close``.

    Args:
        gateway: an open one.
        egress: sends requests to the receivers.
        render: the prediction as the body of a webhook shows it, with URLs below the base that the caller used.
    """

    def __init__(self, gateway: Gateway, egress: EgressClient, render: Render) -> None:
        self._gateway = gateway
        self._egress = egress
        self._render = render
        self._outbox = Outbox(gateway.store)
        self._secret = ""
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._to_one: Counter[str] = Counter()
        self._sending: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._quiet = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @property
    def secret(self) -> str:
        """The key that signs the deliveries."""
        return self._secret

    async def open(self) -> None:
        """Takes up what a gateway before this one has not delivered."""
        self._secret = await self._outbox.secret()
        for hook in await self._outbox.recover(self._gateway.clock()):
            live = self._gateway.active(hook.prediction)
            if live is None:  # it has ended since
                await self._outbox.ended(hook.prediction, self._gateway.clock())
            else:
                self.follow(live, hook)
        self._owner = asyncio.create_task(self._deliver_all())

    async def close(self, grace_s: float = 0.0) -> None:
        """Stops after up to ``grace_s``; what is owed then is delivered by the next gateway. Safe to call twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if self._following:
                    await asyncio.wait(self._following)
                await self._quiet.wait()
        ending = [*self._following, *self._sending, *([self._owner] if self._owner else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def hook(self, prediction: str, url: str, events: Sequence[str] | None, base: str) -> WebhookSubscription:
        """A webhook that was asked for.

        Raises:
            RefusedUrlError: it would lead where this gateway does not reach.
        """
        parts = check_url(url, self._egress.reach)
        return WebhookSubscription(
            prediction=prediction,
            url=url,
            origin=f"{parts.scheme}://{parts.netloc.lower()}",
            events=tuple(name for name in EVENTS if events is None or name in events),
            base=base,
            delivery=new_delivery_id(),
        )

    def follow(self, live: ActivePrediction, hook: WebhookSubscription) -> None:
        """Sends what ``hook`` asks for, of a prediction that was stored with it."""
        self._keep(self._following, self._follow(live, hook))

    async def _follow(self, live: ActivePrediction, hook: WebhookSubscription) -> None:
        told = DeliveryState()
        room = self._rooms.setdefault(hook.origin, asyncio.Semaphore(_MOST_TO_ONE))
        while True:
            record = live.record
            news = next_event(hook.events, told, record)
            if news is None:
                if live.closed:
                    break
                await _wait_for_news(live, hook, record)
                continue
            if room.locked():
                if live.closed:
                    break  # a receiver that is this slow learns of the end alone
                await live.wait_ended(THROTTLE_S)
                continue
            async with room:
                await self._send(hook, news, new_delivery_id())
            told = told_by(news)
            if news is record and not live.closed:
                await live.wait_ended(THROTTLE_S)
        if live.record.status.terminal:
            self._quiet.clear()
            await self._outbox.ended(live.id, self._gateway.clock())
            self._stirred.set()

    async def _deliver_all(self) -> None:
        while True:
            self._stirred.clear()
            try:
                wait_s = await self._hand_out()
            except StoreError as error:
                _LOG.error("webhooks wait: %s", error)
                wait_s = _STORE_PAUSE_S
            if not self._sending:
                self._quiet.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stirred.wait()

    async def _hand_out(self) -> float | None:
        """Starts every delivery that is due and has room; how long until the next one is."""
        while len(self._sending) < _MOST:
            now = self._gateway.clock()
            busy = [origin for origin, count in self._to_one.items() if count >= _MOST_TO_ONE]
            hook, next_at = await self._outbox.claim(now, busy)
            if hook is None:
                return None if next_at is None else max(0.0, next_at - now)
            self._to_one[hook.origin] += 1
            self._keep(self._sending, self._deliver(hook))
        return None

    async def _deliver(self, hook: WebhookSubscription) -> None:
        """The last delivery of a prediction."""
        try:
            record = await self._gateway.find(hook.prediction)
            if record is None or "completed" not in hook.events or await self._send(hook, record, hook.delivery):
                await self._outbox.done(hook)
            elif await self._outbox.failed(hook, self._gateway.clock()) is None:
                _LOG.warning("webhook of prediction %s given up after %d attempts", hook.prediction, hook.attempts + 1)
        finally:
            self._to_one[hook.origin] -= 1
            self._to_one += Counter()  # forgets the origins to which nothing is on its way

    async def _send(self, hook: WebhookSubscription, record: PredictionRecord, delivery: str) -> bool:
        """Whether the receiver has taken it."""
        body = json.dumps(self._render(record, hook.base), ensure_ascii=False, separators=(",", ":")).encode()
        # Receivers compare it with their own clock, which the gateway's need not follow.
        signed = sign(self._secret, delivery, int(time.time()), body)
        headers = {"Content-Type": "application/json", "User-Agent": "pilotlight", **signed}
        try:
            status = await self._egress.post(hook.url, headers, body, timeout_s=TIMEOUT_S)
        except RefusedUrlError as error:
            _LOG.warning("webhook of prediction %s not sent: %s", hook.prediction, error)
            return False
        except PilotlightError as error:
            _LOG.info("webhook of prediction %s not delivered: %s", hook.prediction, error)
            return False
        return 200 <= status < 300

    def _keep(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(tasks, ended))

    def _ended(self, tasks: set[asyncio.Task[None]], ended: asyncio.Task[None]) -> None:
        tasks.discard(ended)
        self._stirred.set()
        if not ended.cancelled() and (error := ended.exception()) is not None:
            _LOG.error("a webhook met an error of the gateway", exc_info=error)


async def _wait_for_news(live: ActivePrediction, hook: WebhookSubscription, record: PredictionRecord) -> None:
    """Until there may be something to send after ``record``; at the latest until the end."""
    if record.started_at is None:
        await live.wait_changed()
    elif "output" in hook.events or "logs" in hook.events:
        await live.wait_changed()
        await live.wait_ended(_GATHER_S)
    else:
        await live.wait_ended()
