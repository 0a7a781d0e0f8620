"""A handle on one prediction: its output so far, its result, and its deadlines."""

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

# Time for a target to answer a cancel request.
_CANCEL_S = 10.0


class Handle:
    """One prediction. Iterate over it, any number of times, for its output chunks, or ``wait`` for its result.

    A task of the running event loop follows the prediction from the moment the handle is created.
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
        # Marks an error as retrieved, so that asyncio does not log it when no caller waits for the result.
        self._follower.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def id(self) -> str:
        """The target's id for the prediction; ``AsyncClient.attach`` takes it."""
        return self._job.id

    @property
    def logs(self) -> str:
        """The prediction's logs so far, as far as the target reports them before the end."""
        return "".join(self._logs) if self._result is None else self._result.logs

    @property
    def metrics(self) -> dict[str, Any]:
        """The prediction's metrics so far."""
        return dict(self._metrics) if self._result is None else dict(self._result.metrics)

    async def status(self) -> Status:
        """Return the last known status."""
        return self._status

    async def wait(self) -> Result:
        """Wait for the end and return the result, whatever the status. Stopping the wait does not cancel it.

        Raises:
            DeadlineError: a time limit has passed; the prediction has been cancelled.
            TargetError: the prediction's state can no longer be read from the target.
            InputError: the target rejected an input.
        """
        await asyncio.wait([self._follower])
        if self._result is None:
            if self._follower.cancelled():  # raised as a TargetError: a CancelledError would mean the caller's own
                raise TargetError(f"prediction {self.id} is no longer followed: its client was closed")
            await self._follower  # raises the reason
            raise AssertionError("this is a bug: a prediction was followed to its end, and there is no result")
        return self._result

    async def ends_within(self, time_s: float | None) -> bool:
        """Wait at most ``time_s`` seconds and return whether following the prediction has ended."""
        await asyncio.wait([self._follower], timeout=time_s)
        return self._follower.done()

    @property
    def succeeded(self) -> bool:
        """Whether the prediction has ended with status ``succeeded``."""
        return self._status is Status.SUCCEEDED

    async def cancel(self) -> None:
        """Cancel the prediction at the target and wait up to 10 s for its end; the handle follows it until it ends.

        Raises:
            TargetError: the target cannot be asked to cancel.
        """
        if self._result is not None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_S):
                # Also when following has failed: the prediction may still be running.
                await self._job.cancel()
                await asyncio.wait([self._follower])

    async def abandon(self) -> None:
        """Cancel the prediction, ignoring the target's errors, and stop following it."""
        try:
            with suppress(PilotlightError):
                await self.cancel()
        finally:
            self.leave()

    def leave(self) -> None:
        """Stop following the prediction, without cancelling it."""
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
            # Wake the readers after this task is done.
            asyncio.get_running_loop().call_soon(self._bump)

    async def _canceled(self) -> str:
        """Cancel the prediction and return how that went, as part of an error message."""
        try:
            async with asyncio.timeout(_CANCEL_S):
                await self._job.cancel()
        except (PilotlightError, TimeoutError) as error:
            return f"the target could not be asked to cancel it ({error or 'no answer'})"
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
            raise TargetError(f"the target stopped reporting prediction {self.id} before its end") from None
        return event

    def _deadline(self) -> tuple[str, float | None]:
        """Return the name of the time limit that is reached next, and its deadline on the loop's clock."""
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
    """Return the timing from the metrics of a completed prediction."""
    queue_s, cold_start_s = metrics.get("queue_s"), metrics.get("cold_start_s")
    wait_s = metrics.get("wait_s")
    if wait_s is None and queue_s is not None and cold_start_s is not None:
        wait_s = queue_s + cold_start_s
    return Timing(total_s, wait_s, queue_s, cold_start_s, metrics.get("predict_s"))
