"""The queue in front of a worker: every prediction that is waiting or running, and how its caller hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.errors import PilotlightError, UsageError, WorkerBusyError, WorkerError
from pilotlight.runtime.events import Completed, Event
from pilotlight.types import Prediction, Status


@dataclass(slots=True, order=True)
class QueuedPrediction:
    """One prediction on its way: waiting, then running, then ended. Ordered by arrival."""

    number: int
    id: str = field(compare=False)
    inputs: Mapping[str, Any] = field(compare=False)
    context: Mapping[str, str] | None = field(compare=False, default=None)
    running: bool = field(compare=False, default=False)
    canceled: bool = field(compare=False, default=False)
    ended: bool = field(compare=False, default=False)
    # While it runs: reschedule it to the time by which it has to be over.
    limit: asyncio.Timeout | None = field(compare=False, default=None)
    events: asyncio.Queue[Event | PilotlightError] = field(compare=False, default_factory=asyncio.Queue)

    def put(self, event: Event) -> None:
        """Tells the caller."""
        if not self.ended:
            self.ended = isinstance(event, Completed)
            self.events.put_nowait(event)

    def fail(self, error: PilotlightError) -> None:
        """Ends it with an error, or as canceled if that is what the caller has asked for."""
        if self.canceled:
            self.put(Completed(Prediction(self.id, Status.CANCELED)))
        elif not self.ended:
            self.ended = True
            self.events.put_nowait(error)

    async def read(self) -> AsyncGenerator[Event, None]:
        """What the caller hears, up to ``Completed`` or an error."""
        while True:
            event = await self.events.get()
            if isinstance(event, PilotlightError):
                raise again(event)
            yield event
            if isinstance(event, Completed):
                return


class TicketQueue:
    """First come, first served; an id is unique among the tickets that have not ended."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: asyncio.PriorityQueue[QueuedPrediction] = asyncio.PriorityQueue()
        self._tickets: dict[str, QueuedPrediction] = {}
        self._count = 0
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def running(self) -> int:
        """How many are on the worker."""
        return sum(ticket.running for ticket in self._tickets.values())

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._tickets) - self.running

    def admit(
        self, prediction_id: str, inputs: Mapping[str, Any], context: Mapping[str, str] | None
    ) -> QueuedPrediction:
        """A new ticket at the end of the queue.

        Raises:
            UsageError: that id is taken.
            WorkerBusyError: the queue is full.
        """
        if prediction_id in self._tickets:
            raise UsageError(f"prediction {prediction_id} is already running; give each its own id")
        if self.waiting >= self._max_waiting:
            raise WorkerBusyError(f"{self.waiting} predictions are waiting, which is the limit; try again later")
        self._count += 1
        ticket = QueuedPrediction(self._count, prediction_id, inputs, context)
        self._tickets[prediction_id] = ticket
        self._settled.clear()
        self._waiting.put_nowait(ticket)
        return ticket

    def find(self, prediction_id: str) -> QueuedPrediction | None:
        """The ticket that has not ended, if there is one."""
        return self._tickets.get(prediction_id)

    async def next(self) -> QueuedPrediction:
        """Waits for one that nobody has cancelled meanwhile."""
        while (ticket := await self._waiting.get()).ended:
            pass
        return ticket

    def put_back(self, ticket: QueuedPrediction) -> None:
        """To its old place in the queue."""
        self._waiting.put_nowait(ticket)

    def forget(self, ticket: QueuedPrediction) -> None:
        """It has ended, and has given its slot up if it had one."""
        self._tickets.pop(ticket.id, None)
        if not self._tickets:
            self._settled.set()

    def fail_waiting(self, error: PilotlightError) -> None:
        """Ends all that wait."""
        for ticket in [ticket for ticket in self._tickets.values() if not ticket.running]:
            ticket.fail(error)
            self.forget(ticket)

    async def settle(self) -> None:
        """Waits until there is none left."""
        await self._settled.wait()


def again(error: PilotlightError) -> PilotlightError:
    """An error to raise to one more caller: an exception object gathers the traceback of everyone who raises it."""
    if isinstance(error, WorkerError):
        return type(error)(str(error), logs=error.logs)
    return error
