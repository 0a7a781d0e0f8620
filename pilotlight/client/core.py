"""The asynchronous client for every kind of target; ``sync.Client`` is its blocking front."""

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

# Time for a target to return the id of a prediction whose caller has left, so that it can be cancelled.
_LEAVE_S = 10.0


class AsyncClient:
    """Sends predictions to one target.

    async with AsyncClient("gateway:http://127.0.0.1:8394") as client:
        result = await client.run({"prompt": "def main("})

    Args:
        target: a target string as ``targets`` describes, or an open connection, which this client then closes.
        token: the target's API token; by default from ``REPLICATE_API_TOKEN``, ``RUNPOD_API_KEY``,
            ``CLOUDSDK_AUTH_ACCESS_TOKEN`` or ``PILOTLIGHT_API_TOKEN``. boto3 finds SageMaker's credentials.
        url: the target's API URL, if it is not the default one.
        timeouts: time limits; ``timeout_s`` of a call replaces ``total_s``.
        retry: when a request is sent again. A prediction is sent again only when it cannot have begun.
        hardware: the target's name for its hardware, needed for ``Result.cost_usd``.
        schema: the predictor's OpenAPI document, for a target that does not provide it, such as RunPod.
        check: whether inputs are checked against the schema before they are sent.
        strict_inputs: refuse inputs that the predictor does not have; by default the log has a warning.

    Raises:
        UsageError: the target string is invalid, or the target needs a token.
        ConfigError: the price file does not list the hardware.
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
        strict_inputs: bool = False,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        if isinstance(target, str | Target):
            self.target = parse_target(target) if isinstance(target, str) else target
            self._connection = connect(self.target, token=token, url=url, timeouts=self.timeouts, retry=retry)
        else:
            self.target = Target("connection:", "connection")
            self._connection = target
        self._schema = schema
        self._checker = Checker(self.schema, strict=strict_inputs) if check else None
        self._tariff = load_prices().tariffs.get(self.target.kind)
        self._hardware = hardware
        if self._tariff is not None and hardware is not None:
            cost_usd(self._tariff, hardware, cold_start_s=0.0, predict_s=0.0)  # raises for unknown hardware
        # Handles that are being followed; weak references, because a handle without a holder need not be kept.
        self._handles: WeakSet[Handle] = WeakSet()
        # Handles of ``run`` and ``stream``: their predictions are cancelled when the caller leaves.
        self._running: set[Handle] = set()
        # Tasks that cancel predictions whose callers have left.
        self._ending: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel the predictions of ``run`` and ``stream``, and close the connection.

        Predictions sent by ``submit`` continue, unless they exist only on this connection; their handles stop
        following.
        """
        for handle in self._running:
            self._start_closing_task(handle.abandon())
        while self._ending:
            await asyncio.wait(self._ending)
        for handle in list(self._handles):
            handle.leave()
            await handle.ends_within(None)
        await self._connection.close()

    async def schema(self) -> Mapping[str, Any] | None:
        """Return the predictor's OpenAPI document, or ``None`` if the target does not provide it."""
        return self._schema if self._schema is not None else await self._connection.schema()

    async def state(self) -> TargetState | None:
        """Return the target's state, hardware and price per hour, or ``None`` if the target does not report them.

        Raises:
            TargetError: the target does not exist or its state cannot be read.
        """
        return await self._connection.state() if isinstance(self._connection, Described) else None

    async def submit(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> Handle:
        """Send a prediction and return its handle as soon as the target has accepted it.

        Args:
            inputs: values by input name; ``None`` means not given; a ``Path``, ``bytes`` or an open file is sent as a
                file.
            timeout_s: limit for the whole prediction, in place of ``Timeouts.total_s``.

        Raises:
            InputError: an input is invalid.
            TargetError: the prediction was not accepted.
            DeadlineError: the prediction was not accepted in time.
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
        """Return a handle on a prediction that was submitted earlier, possibly by another process.

        Raises:
            UsageError: this kind of target does not support it.
            TargetMissingError: the target has no prediction with this id.
        """
        job = await self._connection.attach(job_id)
        return self._followed(job, self.timeouts, time.monotonic())

    async def run(
        self, inputs: Mapping[str, Any], *, timeout_s: float | None = None, hedge_after_s: float | None = None
    ) -> Result:
        """Run a prediction and return its result. An exception or deadline before its end cancels it at the target.

        Args:
            inputs: as for ``submit``.
            timeout_s: as for ``submit``.
            hedge_after_s: if the prediction has not ended after this many seconds, send it a second time, return the
                first result and cancel the other. Use it only for predictions that may run twice; both are charged.

        Raises:
            PredictionFailedError: ``predict`` raised.
            PredictionCanceledError: the prediction was cancelled by someone else.
            DeadlineError: a time limit has passed.
            InputError, TargetError: as for ``submit``.
        """
        if hedge_after_s is not None:
            total_s = self.timeouts.total_s if timeout_s is None else timeout_s
            given = await read_open_files(inputs)
            return await hedged(
                lambda within_s: self.run(given, timeout_s=within_s),
                after_s=hedge_after_s,
                total_s=total_s,
                start_task=self._start_closing_task,
            )
        async with self.running(inputs, timeout_s=timeout_s) as handle:
            return (await handle.wait()).raise_for_status()

    async def stream(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> AsyncGenerator[Any, None]:
        """Yield the output, chunk by chunk. Close the generator (``contextlib.aclosing``) to cancel the prediction.

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
        """Yield the results in the order of ``inputs``, reading at most ``concurrency`` inputs ahead.

        Args:
            inputs: any number of input mappings.
            concurrency: maximum number of concurrent predictions.
            return_errors: yield an error in place of a result and continue; otherwise the first error is raised and the
                running predictions are cancelled.
        """
        return in_order(self.run, inputs, concurrency=concurrency, return_errors=return_errors)

    @asynccontextmanager
    async def running(
        self, inputs: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> AsyncGenerator[Handle, None]:
        """Submit a prediction for the duration of a block; leaving the block before its end cancels it at the target.

        Raises: as ``submit``.
        """
        handle = await self.submit(inputs, timeout_s=timeout_s)
        self._running.add(handle)
        try:
            yield handle
        finally:
            self._running.discard(handle)
            # Shielded, so that cancelling the caller does not cancel the request that cancels the prediction.
            await asyncio.shield(self._start_closing_task(handle.abandon()))

    def _start_closing_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start ``work`` as a task that ``close`` waits for."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _accepted(self, inputs: Mapping[str, Any], timeouts: Timeouts) -> Job:
        """Return the accepted job. If the caller leaves earlier, cancel the job as soon as its id is known."""
        accepting = asyncio.create_task(self._connection.submit(inputs, total_s=timeouts.total_s))
        try:
            return await asyncio.shield(accepting)
        except asyncio.CancelledError:
            await asyncio.shield(
                self._start_closing_task(_cancel_when_accepted(accepting, min(timeouts.answer_s, _LEAVE_S)))
            )
            raise

    def _finish(self, prediction: Prediction, total_s: float) -> Result:
        times = timing(prediction.metrics, total_s)
        cost = None
        if self._tariff is not None and self._hardware is not None:
            # The charge is unknown when the target does not report the cold start separately from the queue.
            cost = cost_usd(self._tariff, self._hardware, cold_start_s=times.cold_start_s, predict_s=times.predict_s)
        return result_of(prediction, target=str(self.target), timing=times, cost_usd=cost)


async def _cancel_when_accepted(accepting: asyncio.Task[Job], patience_s: float) -> None:
    """Cancel a prediction whose caller has left, if its id arrives within ``patience_s`` seconds."""
    await asyncio.wait([accepting], timeout=patience_s)
    if accepting.done() and not accepting.cancelled() and accepting.exception() is None:
        with suppress(PilotlightError):
            await accepting.result().cancel()
    accepting.cancel()
