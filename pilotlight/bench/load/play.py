"""Run one step of a load: requests at scheduled times, or from clients that wait for their answers."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pilotlight.bench.harness.clock import SYSTEM_CLOCK, Clock
from pilotlight.bench.harness.proc import steal_share, system_ticks
from pilotlight.bench.load.records import RequestRecord
from pilotlight.bench.load.results import Generator
from pilotlight.bench.load.steps import LoadStep

__all__ = ["Played", "play"]

Send = Callable[[RequestRecord], Awaitable[None]]

# The interval at which the event loop's lag is measured, in seconds.
_LOOK_S = 0.02
# A refused client retries after this time; an immediate retry would only keep the server busy with refusing.
_REFUSED_PAUSE_S = 0.01
_ANSWERED = frozenset({"succeeded", "failed", "canceled", "timed_out"})


@dataclass(slots=True)
class Played:
    """The events of a step so far; times on the monotonic clock.

    Attributes:
        began: the beginning of the step.
        stopped: the time when the last client of a closed loop had no request left to send.
        generator: the generator's measurements; ``None`` until the step is over.
    """

    began: float = 0.0
    stopped: float = 0.0
    records: list[RequestRecord] = field(default_factory=list)
    generator: Generator | None = None


async def play(
    step: LoadStep,
    send: Send,
    played: Played,
    look: Callable[[float], None],
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Send the requests of a step and wait for all answers.

    When cancelled, end every request first; ``played`` then holds the results so far.

    Args:
        step: the step to play.
        send: the function that sends one request; it raises nothing but a cancellation.
        played: filled with the results, even if interrupted.
        look: called about 50 times a second with the seconds since the beginning.
        clock: the clock of all times; ``send`` must use the same one.
    """
    with _no_collections():
        lags: list[float] = []
        ticks, cpu_s = system_ticks(), time.process_time()
        played.began = played.stopped = clock.now()
        watcher = asyncio.create_task(_watch(lags, lambda: look(clock.now() - played.began), clock))
        try:
            await (_open_loop if step.schedule is not None else _closed_loop)(step, send, played, clock)
        finally:
            watcher.cancel()
            played.generator = Generator(
                wall_s=clock.now() - played.began,
                cpu_s=time.process_time() - cpu_s,
                lags_s=tuple(round(lag, 6) for lag in lags),
                steal_share=steal_share(ticks, system_ticks()),
            )


async def _open_loop(step: LoadStep, send: Send, played: Played, clock: Clock) -> None:
    assert step.schedule is not None, "this is a bug: an open loop without a schedule"
    running: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as tasks:
        for offset in step.schedule.tolist():
            record = RequestRecord(played.began + offset)
            await clock.sleep(max(record.intended - clock.now(), 0))
            played.records.append(record)
            if len(running) >= step.max_in_flight:
                record.end("not_sent", f"{step.max_in_flight} were in flight")
                continue
            task = tasks.create_task(_sending(send, record))
            running.add(task)
            task.add_done_callback(running.discard)


async def _closed_loop(step: LoadStep, send: Send, played: Played, clock: Clock) -> None:
    end = played.began + (float("inf") if step.duration_s is None else step.duration_s)

    async def client() -> None:
        while (now := clock.now()) < end and len(played.records) != step.requests:
            record = RequestRecord(now)
            played.records.append(record)
            await send(record)
            if record.outcome not in _ANSWERED:
                await clock.sleep(_REFUSED_PAUSE_S)
        played.stopped = max(played.stopped, now)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(step.clients or 0):
            tasks.create_task(client())


async def _sending(send: Send, record: RequestRecord) -> None:
    await send(record)


async def _watch(lags: list[float], look: Callable[[], None], clock: Clock) -> None:
    while True:
        due = clock.now() + _LOOK_S
        await clock.sleep(_LOOK_S)
        lags.append(max(clock.now() - due, 0.0))
        look()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Disable garbage collection; collecting all records takes longer than many predictions."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
