"""One client for every target. Everything asynchronous is here; ``sync.Client`` is a front for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, overload
from weakref import WeakSet

from pilotlight.client.connection import Connection, Described, Job, TargetState, Timeouts
from pilotlight.client.errors import unsent
from pilotlight.client.handle import Handle, timing
from pilotlight.client.hedge import hedged
from pilotlight.client.http import Retry
from pilotlight.client.inputs import Checker, prepare, read_open_files
from pilotlight.client.many import in_order
from pilotlight.client.results import Result, result_of
from pilotlight.client.targets.connect import connect
from pilotlight.client.targets.names import Target, parse_target
from pilotlight.errors import DeadlineError, PilotlightError
from pilotlight.prices import cost_usd, load_prices
from pilotlight.types import Prediction

# For a target to name a prediction that nobody waits for any more, so that it can be cancelled.
_LEAVE_S = 10.0


class AsyncClient:
    """Sends predictions to one target.

    async with AsyncClient("gateway:http://127.0.0.1:8394") as client:
        result = await client.run({"prompt": "def main("})

    Args:
        target: where to, as ``targets`` describes; or an open connection, which this client then closes.
        token: of the target's API; by default from ``REPLICATE_API_TOKEN``, ``RUNPOD_API_KEY``,
            ``CLOUDSDK_AUTH_ACCESS_TOKEN`` or ``PILOTLIGHT_TOKEN``; SageMaker's is boto3's business.
        url: where the target's API is, if not at its usual place.
        timeouts: how long each thing may take; a call may have its own.
        retry: when a request is sent again. A prediction is only ever sent again when it cannot have begun.
        hardware: what the target runs on, by its own name, for ``Result.cost_usd``.
        schema: the predictor's OpenAPI document, for a target that does not give it, as RunPod does not.
        check: whether inputs are checked against the target's schema before they are sent.

    Raises:
        UsageError: the target is none, or needs a token.
        ConfigError: the price file knows no such hardware.
    """

    def __init__(
        self,
        target: str | Target | Connection,
        *,
        token: str | None = None,
        url: str | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        hardware: str | None = None,
        schema: Mapping[str, Any] | None = None,
        check: bool = True,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        if isinstance(target, str | Target):
            self.target = parse_target(target) if isinstance(target, str) else target
            self._connection = connect(self.target, token=token, url=url, timeouts=self.timeouts, retry=retry)
        else:
            self.target = Target("connection:", "connection")
            self._connection = target
        self._schema = schema
        self._checker = Checker(self.schema) if check else None
        self._tariff = load_prices().tariffs.get(self.target.kind)
        self._hardware = hardware
        if self._tariff is not None and hardware is not None:
            cost_usd(self._tariff, hardware, cold_start_s=0.0, predict_s=0.0)  # raises for a name that is not there
        # Those that are followed; a handle that nobody holds is none to keep.
        self._handles: WeakSet[Handle] = WeakSet()
        # Those that end with whoever waits for them.
        self._running: set[Handle] = set()
        # What ends predictions that their callers have left.
        self._ending: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancels what is being run or streamed, and closes the connection.

        Predictions that were submitted, and live without the connection, go on; they are not followed any more.
        """
        for handle in self._running:
            self._apart(handle.abandon())
        while self._ending:
            await asyncio.wait(self._ending)
        for handle in list(self._handles):
            handle.leave()
            await handle.ends_within(None)
        await self._connection.close()

    async def schema(self) -> Mapping[str, Any] | None:
        """The predictor's OpenAPI document; ``None`` where the target gives none."""
        return self._schema if self._schema is not None else await self._connection.schema()

    async def state(self) -> TargetState | None:
        """How the target stands, what it runs on and what that costs; ``None`` where the target does not say.

        Raises:
            TargetError: it is not there, or cannot be asked.
        """
        return await self._connection.state() if isinstance(self._connection, Described) else None

    async def submit(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> Handle:
        """Sends a prediction and returns at once; what becomes of it is the handle's to tell.

        Args:
            inputs: by name; ``None`` means not given; a ``Path``, ``bytes`` or an open file is a file.
            timeout_s: for all of it, in place of ``Timeouts.total_s``.

        Raises:
            InputError: an input is wrong.
            TargetError: it was not accepted.
            DeadlineError: not in time.
        """
        timeouts = self.timeouts if timeout_s is None else replace(self.timeouts, total_s=timeout_s)
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(timeouts.total_s) as limit:
                with unsent():
                    given = await prepare(inputs, self._connection)
                    if self._checker is not None:
                        await self._checker.check(given)
                job = await self._accepted(given, timeouts)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineError(
                f"the prediction was not accepted within {timeouts.total_s:g} s", phase="total"
            ) from error
        return self._followed(job, timeouts, asked_at)

    def _followed(self, job: Job, timeouts: Timeouts, asked_at: float) -> Handle:
        handle = Handle(job, timeouts, asked_at=asked_at, finish=self._finish)
        self._handles.add(handle)
        return handle

    async def attach(self, job_id: str) -> Handle:
        """A prediction that was submitted before, perhaps by another process.

        Raises:
            UsageError: this kind of target cannot.
            TargetMissingError: there is none with this id.
        """
        job = await self._connection.attach(job_id)
        return self._followed(job, self.timeouts, time.monotonic())

    async def run(
        self, inputs: Mapping[str, Any], *, timeout_s: float | None = None, hedge_after_s: float | None = None
    ) -> Result:
        """Runs a prediction to its end. Leaving early, by an exception or a deadline, cancels it at the target.

        Args:
            inputs: as for ``submit``.
            timeout_s: as for ``submit``.
            hedge_after_s: if it has not ended by then, send it a second time, take the answer that comes first, and
                cancel the other one. Only for predictions that may run twice; it costs what it says.

        Raises:
            PredictionFailedError: ``predict`` raised.
            PredictionCanceledError: somebody else cancelled it.
            DeadlineError: its time was over.
            InputError, TargetError: as for ``submit``.
        """
        if hedge_after_s is not None:
            total_s = self.timeouts.total_s if timeout_s is None else timeout_s
            given = await read_open_files(inputs)
            return await hedged(
                lambda within_s: self.run(given, timeout_s=within_s),
                after_s=hedge_after_s,
                total_s=total_s,
                apart=self._apart,
            )
        async with self.running(inputs, timeout_s=timeout_s) as handle:
            return (await handle.wait()).raise_for_status()

    async def stream(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> AsyncGenerator[Any, None]:
        """Stream the output, chunk by chunk. Close the generator (``contextlib.aclosing``) to cancel the prediction.

        Raises: as ``run``.
        """
        async with self.running(inputs, timeout_s=timeout_s) as handle:
            async for chunk in handle:
                yield chunk
            (await handle.wait()).raise_for_status()

    @overload
    def map(
        self, inputs: Iterable[Mapping[str, Any]], *, concurrency: int = ..., return_errors: Literal[False] = ...
    ) -> AsyncGenerator[Result, None]: ...

    @overload
    def map(
        self, inputs: Iterable[Mapping[str, Any]], *, concurrency: int = ..., return_errors: Literal[True]
    ) -> AsyncGenerator[Result | PilotlightError, None]: ...

    def map(
        self, inputs: Iterable[Mapping[str, Any]], *, concurrency: int = 8, return_errors: bool = False
    ) -> AsyncGenerator[Result | PilotlightError, None]:
        """Results in the order of ``inputs``, which is read only as far ahead as ``concurrency``.

        Args:
            inputs: any number of them.
            concurrency: predictions at once, at most.
            return_errors: give the error in place of the result, and go on; else the first error ends it all, and
                cancels what runs.
        """
        return in_order(self.run, inputs, concurrency=concurrency, return_errors=return_errors)

    @asynccontextmanager
    async def running(
        self, inputs: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> AsyncGenerator[Handle, None]:
        """A prediction for as long as a block takes: leaving it before the end cancels it at the target.

        Raises: as ``submit``.
        """
        handle = await self.submit(inputs, timeout_s=timeout_s)
        self._running.add(handle)
        try:
            yield handle
        finally:
            self._running.discard(handle)
            # A caller who is being cancelled must not take the cancel down with them.
            await asyncio.shield(self._apart(handle.abandon()))

    def _apart(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """``work`` as a task that ``close`` waits for."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _accepted(self, inputs: Mapping[str, Any], timeouts: Timeouts) -> Job:
        """The job; if the caller leaves while it is being accepted, it is cancelled as soon as its id is known."""
        accepting = asyncio.create_task(self._connection.submit(inputs, total_s=timeouts.total_s))
        try:
            return await asyncio.shield(accepting)
        except asyncio.CancelledError:
            await asyncio.shield(self._apart(_refuse(accepting, min(timeouts.answer_s, _LEAVE_S))))
            raise

    def _finish(self, prediction: Prediction, total_s: float) -> Result:
        times = timing(prediction.metrics, total_s)
        cost = None
        if self._tariff is not None and self._hardware is not None:
            # Where the target does not tell a cold start from a queue, the charge for it cannot be known.
            cost = cost_usd(self._tariff, self._hardware, cold_start_s=times.cold_start_s, predict_s=times.predict_s)
        return result_of(prediction, target=str(self.target), timing=times, cost_usd=cost)


async def _refuse(accepting: asyncio.Task[Job], patience_s: float) -> None:
    """Cancels a prediction that nobody waits for any more, once it has a name to cancel it by."""
    await asyncio.wait([accepting], timeout=patience_s)
    if accepting.done() and not accepting.cancelled() and accepting.exception() is None:
        with suppress(PilotlightError):
            await accepting.result().cancel()
    accepting.cancel()
