"""A server with planted service times, which a load can be played on without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotlight.bench.harness.clock import Clock
from pilotlight.bench.load.records import RequestRecord

__all__ = ["FakeServer"]


class FakeServer:
    """Serves so many requests at once; others wait in the order in which they came.

    Args:
        clock: that the load is played with.
        slots: how many it serves at once.
        service_s: from the number of a request, counted from 0, to how long it is served.
    """

    def __init__(self, clock: Clock, *, slots: int, service_s: Callable[[int], float]) -> None:
        self._clock = clock
        self._slots = asyncio.Semaphore(slots)
        self._service_s = service_s
        self._count = 0

    async def send(self, record: RequestRecord) -> None:
        """Serve one request, as ``Sender.send`` has one served: its times and its end are in ``record``."""
        number, self._count = self._count, self._count + 1
        record.started = self._clock.now()
        async with self._slots:
            record.sent = self._clock.now()
            await self._clock.sleep(self._service_s(number))
            record.done = self._clock.now()
        record.http_status, record.outputs = 200, 1
        record.end("succeeded")
