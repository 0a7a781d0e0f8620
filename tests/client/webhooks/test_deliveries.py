"""Each message is handled once, whatever comes when; callbacks in memory."""

import asyncio
from dataclasses import dataclass
from functools import partial

import pytest

from pilotlight.client.webhooks.deliveries import Deliveries


@dataclass
class Message:
    webhook_id: str


class Handler:
    """An object with an asynchronous call, which waits while it is held, and fails as often as it is told."""

    def __init__(self, fails=0):
        self.seen = []
        self.fails = fails
        self.open = asyncio.Event()
        self.open.set()
        self.begun = asyncio.Event()

    async def __call__(self, message):
        self.seen.append(message.webhook_id)
        self.begun.set()
        await self.open.wait()
        if self.fails:
            self.fails -= 1
            raise ValueError("not now")


def run(scenario):
    async def whole():
        async with asyncio.timeout(120):
            await scenario()

    asyncio.run(whole())


def test_what_was_handled_is_not_handled_again():
    async def scenario():
        handler = Handler()
        deliveries = Deliveries(handler)
        assert [await deliveries.deliver(Message(name)) for name in "aab"] == [True, False, True]
        assert handler.seen == ["a", "b"]

    run(scenario)


def test_what_failed_may_come_again():
    async def scenario():
        handler = Handler(fails=1)
        deliveries = Deliveries(handler)
        with pytest.raises(ValueError, match="not now"):
            await deliveries.deliver(Message("a"))
        assert await deliveries.deliver(Message("a"))
        assert handler.seen == ["a", "a"]

    run(scenario)


@pytest.mark.parametrize("fails", [0, 1])
def test_whoever_brings_it_meanwhile_waits_for_the_same_end(fails):
    async def scenario():
        handler = Handler(fails)
        handler.open.clear()
        deliveries = Deliveries(handler)
        both = [asyncio.create_task(deliveries.deliver(Message("a"))) for _ in range(2)]
        await handler.begun.wait()
        handler.open.set()
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert handler.seen == ["a"]
        if fails:
            assert [str(end) for end in ends] == ["not now", "not now"]
        else:
            assert ends == [True, False]

    run(scenario)


def test_a_sender_who_hangs_up_does_not_stop_it():
    async def scenario():
        handler = Handler()
        handler.open.clear()
        deliveries = Deliveries(handler)
        waiting = asyncio.create_task(deliveries.deliver(Message("a")))
        await handler.begun.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        again = asyncio.create_task(deliveries.deliver(Message("a")))
        handler.open.set()
        assert await again is False
        assert handler.seen == ["a"]

    run(scenario)


def test_the_oldest_are_forgotten():
    async def scenario():
        handler = Handler()
        deliveries = Deliveries(handler, remembered=2)
        for name in "abcca":
            await deliveries.deliver(Message(name))
        assert handler.seen == ["a", "b", "c", "a"]

    run(scenario)


def test_any_kind_of_callable_will_do():
    async def scenario():
        seen = []

        async def coroutine(prefix, message):
            seen.append(prefix + message.webhook_id)

        def plain(message):
            seen.append(message.webhook_id)

        for callback in (plain, partial(coroutine, "p-"), Handler()):
            assert await Deliveries(callback).deliver(Message("a"))
        assert seen == ["a", "p-a"]

    run(scenario)
