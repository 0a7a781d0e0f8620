"""Delivers webhooks without delaying predictions.

The dispatcher listens to predictions. From the start of one whose subscription asks for progress, a task of its own
follows it and sends what is new. The end of each is delivered from the database, by one loop that bounds how many
deliveries are on their way, in all and to one receiver.
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
from pilotlight.gateway.scheduler.listeners import NullListener
from pilotlight.gateway.webhooks.events import (
    DEFAULT_EVENTS,
    EVENTS,
    THROTTLE_S,
    TIMEOUT_S,
    DeliveryState,
    WebhookSubscription,
    new_delivery_id,
    next_event,
    sign,
    state_after,
)
from pilotlight.gateway.webhooks.outbox import Outbox

_LOG = logging.getLogger(__name__)

# Deliveries of ends on their way: in all, and to one receiver, so that a slow one leaves room for the others. As many
# deliveries of starts and progress may be on their way to one receiver.
_MAX_DELIVERIES = 64
_MAX_TO_ONE_RECEIVER = 8
# Reading a prediction costs as much as it has output: it is not read for every word.
_GATHER_S = 0.05
# A database that cannot be read now may be readable then.
_STORE_PAUSE_S = 1.0


Render = Callable[[PredictionRecord, str], Mapping[str, object]]


class WebhookDispatcher(NullListener):
    """Delivers the webhooks of ``gateway``, from ``open`` to ``close``.

    Args:
        gateway: an open gateway, whose predictions it listens to.
        egress: sends requests to the receivers.
        render: gives a prediction as the body of a webhook, with URLs below the base that the caller used.
    """

    def __init__(self, gateway: Gateway, egress: EgressClient, render: Render) -> None:
        self._gateway = gateway
        self._egress = egress
        self._render = render
        self._outbox = Outbox(gateway.store)
        self._secret = ""
        self._followed: dict[str, tuple[ActivePrediction, WebhookSubscription]] = {}
        self._reporting: dict[str, asyncio.Task[None]] = {}
        self._progress_slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._to_receiver: Counter[str] = Counter()
        self._delivering: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._nothing_due = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    @property
    def secret(self) -> str:
        """The key that signs the deliveries."""
        return self._secret

    async def open(self) -> None:
        """Start, with what a gateway before this one has not delivered."""
        self._secret = await self._outbox.secret()
        self._gateway.listeners.add(self)
        for subscription in await self._outbox.recover(self._gateway.clock()):
            active = self._gateway.active(subscription.prediction)
            if active is None:  # it has ended since
                await self._outbox.ended(subscription.prediction, self._gateway.clock())
            else:
                self.follow(active, subscription)
        self._owner = asyncio.create_task(self._deliver_all())

    async def close(self, grace_s: float = 0.0) -> None:
        """Stop after up to ``grace_s``; what is owed then is delivered by the next gateway. Safe to call twice."""
        self._gateway.listeners.remove(self)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if following := {*self._reporting.values(), *self._ending}:
                    await asyncio.wait(following)
                await self._nothing_due.wait()
        tasks = [*self._reporting.values(), *self._ending, *self._delivering, *([self._owner] if self._owner else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def subscription(self, prediction: str, url: str, events: Sequence[str] | None, base: str) -> WebhookSubscription:
        """Return the subscription that a caller asks for.

        Raises:
            RefusedUrlError: it would lead where this gateway does not send requests.
        """
        parts = check_url(url, self._egress.policy)
        return WebhookSubscription(
            prediction=prediction,
            url=url,
            origin=f"{parts.scheme}://{parts.netloc.lower()}",
            events=tuple(name for name in EVENTS if name in (DEFAULT_EVENTS if events is None else events)),
            base=base,
            delivery=new_delivery_id(),
        )

    def follow(self, active: ActivePrediction, subscription: WebhookSubscription) -> None:
        """Deliver what a subscription asks for, of a prediction that was stored with it."""
        self._followed[active.id] = active, subscription
        # It may have come so far before anybody could say that it has a webhook.
        if active.record.started_at is not None:
            self.started(active.record)
        if active.record.status.terminal:
            self.ended(active.record)

    def started(self, record: PredictionRecord) -> None:
        active, subscription = self._followed.get(record.id, (None, None))
        if active is not None and subscription is not None and subscription.wants_progress:
            task = self._spawn(self._report(active, subscription))
            self._reporting[record.id] = task
            task.add_done_callback(lambda _: self._reporting.pop(record.id))

    def ended(self, record: PredictionRecord) -> None:
        if self._followed.pop(record.id, None) is not None:
            task = self._spawn(self._report_end(record.id))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _report(self, active: ActivePrediction, subscription: WebhookSubscription) -> None:
        """Send the start and the progress of a prediction, until it has ended and all but its end is known."""
        state = DeliveryState()
        slots = self._progress_slots.setdefault(subscription.origin, asyncio.Semaphore(_MAX_TO_ONE_RECEIVER))
        while True:
            record = active.record
            event = next_event(subscription.events, state, record)
            if event is None:
                if active.closed:
                    return
                await _wait_for_news(active, subscription, record)
                continue
            if slots.locked():
                if active.closed:
                    return  # a receiver that is this slow gets the end alone
                await active.wait_ended(THROTTLE_S)
                continue
            async with slots:
                await self._send(subscription, event, new_delivery_id())
            state = state_after(event)
            if event is record and not active.closed:
                await active.wait_ended(THROTTLE_S)

    async def _report_end(self, prediction: str) -> None:
        """Make the last delivery due, once the ones before it have been made."""
        if reporting := self._reporting.get(prediction):
            await asyncio.wait([reporting])
        self._nothing_due.clear()
        await self._outbox.ended(prediction, self._gateway.clock())
        self._wake.set()

    async def _deliver_all(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait_s = await self._start_deliveries()
            except StoreError as error:
                _LOG.error("webhooks wait: %s", error)
                wait_s = _STORE_PAUSE_S
            if not self._delivering:
                self._nothing_due.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _start_deliveries(self) -> float | None:
        """Start every delivery that is due and within the bounds; return how long until the next one is due."""
        while len(self._delivering) < _MAX_DELIVERIES:
            now = self._gateway.clock()
            busy = [origin for origin, count in self._to_receiver.items() if count >= _MAX_TO_ONE_RECEIVER]
            subscription, next_at = await self._outbox.claim(now, busy)
            if subscription is None:
                return None if next_at is None else max(0.0, next_at - now)
            self._to_receiver[subscription.origin] += 1
            task = self._spawn(self._deliver(subscription))
            self._delivering.add(task)
            task.add_done_callback(self._delivered)
        return None

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._delivering.discard(task)
        self._wake.set()

    async def _deliver(self, subscription: WebhookSubscription) -> None:
        """Make the last delivery of a prediction."""
        try:
            record = await self._gateway.find(subscription.prediction)
            wanted = record is not None and "completed" in subscription.events
            if record is None or not wanted or await self._send(subscription, record, subscription.delivery):
                await self._outbox.done(subscription)
            elif await self._outbox.failed(subscription, self._gateway.clock()) is None:
                attempts = subscription.attempts + 1
                _LOG.warning("webhook of prediction %s given up after %d attempts", subscription.prediction, attempts)
        finally:
            self._to_receiver[subscription.origin] -= 1
            self._to_receiver += Counter()  # removes the receivers to which nothing is on its way

    async def _send(self, subscription: WebhookSubscription, record: PredictionRecord, delivery: str) -> bool:
        """Send a prediction to the receiver; return whether that accepted it."""
        rendered = self._render(record, subscription.base)
        body = json.dumps(rendered, ensure_ascii=False, separators=(",", ":")).encode()
        # Receivers compare it with their own clock, which the gateway's need not follow.
        signed = sign(self._secret, delivery, int(time.time()), body)
        headers = {"Content-Type": "application/json", "User-Agent": "pilotlight", **signed}
        try:
            status = await self._egress.post(subscription.url, headers, body, timeout_s=TIMEOUT_S)
        except RefusedUrlError as error:
            _LOG.warning("webhook of prediction %s not sent: %s", subscription.prediction, error)
            return False
        except PilotlightError as error:
            _LOG.info("webhook of prediction %s not delivered: %s", subscription.prediction, error)
            return False
        return 200 <= status < 300

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(_log_failure)
        return task


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("a webhook met an error of the gateway", exc_info=error)


async def _wait_for_news(active: ActivePrediction, subscription: WebhookSubscription, record: PredictionRecord) -> None:
    """Wait until there may be something to send after ``record``; at the latest until the end."""
    if record.started_at is None:
        await active.wait_changed()
    elif "output" in subscription.events or "logs" in subscription.events:
        await active.wait_changed()
        await active.wait_ended(_GATHER_S)
    else:
        await active.wait_ended()
