"""The stream of one prediction, which a reader may take up again where it was cut off.

The id of an event says how much of the output and of the logs came with it and before: ``CREATED:CHUNKS.CHARACTERS``.
A reader that sends it back as ``Last-Event-ID`` gets what follows, also where the logs of a prediction that has ended
come in one piece.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace

from pilotlight.gateway import sse
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.active import ActivePrediction, replayed
from pilotlight.gateway.sse import StreamEvent


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How much of a stream has been sent.

    Attributes:
        chunks: of the output.
        characters: of the logs.
    """

    chunks: int = 0
    characters: int = 0

    def after(self, event: StreamEvent) -> StreamPosition:
        """Return the position after an event."""
        if event.name == "output":
            return replace(self, chunks=self.chunks + 1)
        return replace(self, characters=self.characters + len(event.data)) if event.name == "logs" else self

    def rest(self, event: StreamEvent, before: StreamPosition) -> StreamEvent | None:
        """Return what a reader at this position lacks of an event that comes at ``before``; ``None`` for nothing."""
        if event.name == "output":
            return event if before.chunks >= self.chunks else None
        if event.name == "logs":
            missing = event.data[max(0, self.characters - before.characters) :]
            return StreamEvent("logs", missing) if missing else None
        return event


def read_position(event_id: str | None) -> StreamPosition:
    """Return the position that an event's id says; the beginning for a text that is none."""
    match = re.fullmatch(r"[0-9]+:([0-9]{1,15})\.([0-9]{1,15})", event_id or "")
    return StreamPosition(int(match[1]), int(match[2])) if match else StreamPosition()


async def events_of(
    record: PredictionRecord, active: ActivePrediction | None, start: StreamPosition
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a prediction from ``start`` on, and comments while there is nothing to send."""
    position = StreamPosition()
    source = active.follow() if active is not None else _listed(replayed(record))
    async with aclosing(source) as events:
        async for event in events:
            if event is None:
                yield sse.PING
                continue
            rest, position = start.rest(event, position), position.after(event)
            if rest is not None:
                yield sse.encode(rest, f"{int(record.created_at)}:{position.chunks}.{position.characters}")


async def _listed(events: Iterable[StreamEvent]) -> AsyncGenerator[StreamEvent | None, None]:
    for event in events:
        yield event
