"""A handle on one prediction: its output so far, its end, and the deadlines that cancel it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

from pilotlight.client.connection import Job, Timeouts
from pilotlight.client.results import Result, Timing
from pilotlight.errors import DeadlineError, PilotlightError, TargetError
from pilotlight.runtime.events import Completed, Event, Log, Metric, Output, Started
from pilotlight.types import Prediction, Status

# For a target to answer a cancel; after that it has been told, whatever it does.
_CANCEL_S = 10.0


class Handle:
    """One prediction: iterate over it for its output, chunk by chunk, as often as you like, or ``wait`` for its end.

    It is followed from the moment it is made, by a task of the running event loop.
    """

    def __init__(
        self, job: Job, timeouts: Timeouts, *, asked_at: float, finish: Callable[[Prediction, float], Result]
    ) -> None:
        self._job = job
        self._timeouts = timeouts
        self._asked_at = asked_at
        self._began_at = asked_at
        self._finish = finish
        self._status = Status.STARTING
        self._chunks: list[Any] = []
        self._logs: list[str] = []
        self._metrics: dict[str, Any] = {}
        self._result: Result | None = None
        self._changed = asyncio.Event()
        self._follower = asyncio.create_task(self._follow())
        # A caller may never ask how it ended.
        self._follower.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def id(self) -> str:
        """The target's name for it; ``AsyncClient.attach`` takes it."""
        return self._job.id

    @property
    def logs(self) -> str:
        """What it has printed so far, as far as the target tells before its end."""
        return "".join(self._logs) if self._result is None else self._result.logs

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers so far."""
        return dict(self._metrics) if self._result is None else dict(self._result.metrics)

    async def status(self) -> Status:
        """How it stands, as last heard."""
        return self._status

    async def wait(self) -> Result:
        """Its end, whichever it is; leaving early does not cancel it.

        Raises:
            DeadlineError: its time is over; it has been cancelled.
            TargetError: what became of it cannot be known.
            InputError: an input was refused.
        """
        await asyncio.wait([self._follower])
        if self._result is None:
            if self._follower.cancelled():  # not the caller's own cancellation, and not to be taken for one
                raise TargetError(f"prediction {self.id} is not followed any more, as its client was closed or left it")
            await self._follower  # raises why
            raise AssertionError("this is a bug: a prediction was followed to its end, and there is no result")
        return self._result

    async def ends_within(self, time_s: float | None) -> bool:
        """Whether it has ended by then, in whatever way."""
        await asyncio.wait([self._follower], timeout=time_s)
        return self._follower.done()

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self._status is Status.SUCCEEDED

    async def cancel(self) -> None:
        """Has the target end it; returns when it has ended, or after 10 s: then it is still followed to its end.

        Raises:
            TargetError: the target cannot be told.
        """
        if self._result is not None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_S):
                # Also where following it has failed: it may run on all the same.
                await self._job.cancel()
                await asyncio.wait([self._follower])

    async def abandon(self) -> None:
        """As ``cancel``, for a caller who does not care how: never raises what the target says, and follows no more."""
        try:
            with suppress(PilotlightError):
                await self.cancel()
        finally:
            self.leave()

    def leave(self) -> None:
        """Follows it no more; it goes on where it runs."""
        self._follower.cancel()

    async def __aiter__(self) -> AsyncIterator[Any]:
        number = 0
        while True:
            changed = self._changed
            while number < len(self._chunks):
                yield self._chunks[number]
                number += 1
            if self._follower.done():
                break
            await changed.wait()
        await self.wait()

    async def _follow(self) -> None:
        try:
            async with aclosing(self._job.events()) as events:
                while True:
                    event = await self._next(events)
                    self._take(event)
                    if isinstance(event, Completed):
                        return
        except DeadlineError as error:
            raise DeadlineError(f"{error}, and {await self._canceled()}", phase=error.phase) from error
        finally:
            # Whoever waits looks again, now that the task is (about to be) done.
            asyncio.get_running_loop().call_soon(self._bump)

    async def _canceled(self) -> str:
        """Cancels it, and says whether the target has been told."""
        try:
            async with asyncio.timeout(_CANCEL_S):
                await self._job.cancel()
        except (PilotlightError, TimeoutError) as error:
            return f"the target could not be told to cancel it ({error or 'no answer'})"
        return "has been cancelled"

    async def _next(self, events: Any) -> Event:
        phase, deadline = self._deadline()
        try:
            async with asyncio.timeout_at(deadline):
                event: Event = await anext(events)
        except TimeoutError as error:
            limit_s = getattr(self._timeouts, f"{phase}_s")
            words = {"total": "did not end", "wait": "did not begin", "predict": "did not end after it began"}[phase]
            raise DeadlineError(f"prediction {self.id} {words} within {limit_s:g} s", phase=phase) from error
        except StopAsyncIteration:
            raise TargetError(f"the target stopped telling of prediction {self.id} before its end") from None
        return event

    def _deadline(self) -> tuple[str, float | None]:
        """Which time runs out next, and when on the loop's clock."""
        phases = [("total", self._asked_at, self._timeouts.total_s)]
        if self._status is Status.STARTING:
            phases.append(("wait", self._asked_at, self._timeouts.wait_s))
        else:
            phases.append(("predict", self._began_at, self._timeouts.predict_s))
        ends = [(start + limit_s, phase) for phase, start, limit_s in phases if limit_s is not None]
        at, phase = min(ends, default=(None, "total"))
        return phase, at

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                self._status = Status.PROCESSING
                self._began_at = time.monotonic()
            case Output(chunk):
                self._chunks.append(chunk)
            case Log(_, text):
                self._logs.append(text)
            case Metric(name, value):
                self._metrics[name] = value
            case Completed(prediction):
                self._status = prediction.status
                self._result = self._finish(prediction, time.monotonic() - self._asked_at)
        self._bump()

    def _bump(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def timing(metrics: dict[str, Any], total_s: float) -> Timing:
    """Where the time went, from the numbers that a job's end carries."""
    queue_s, cold_start_s = metrics.get("queue_s"), metrics.get("cold_start_s")
    wait_s = metrics.get("wait_s")
    if wait_s is None and queue_s is not None and cold_start_s is not None:
        wait_s = queue_s + cold_start_s
    return Timing(total_s, wait_s, queue_s, cold_start_s, metrics.get("predict_s"))
