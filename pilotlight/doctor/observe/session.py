"""The predictions that doctor runs on a ready worker: the first, a series, concurrent ones, and invalid ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from statistics import median
from typing import Any

from pilotlight.bench.harness.memory import default_limit_bytes, within_memory
from pilotlight.doctor.observe.fuzz import Case
from pilotlight.doctor.observe.waiting import Waits, waited_s, waits
from pilotlight.doctor.observed import Attempt, AttemptOutcome, Run, Wave
from pilotlight.doctor.rules.load import QUICK_S, wave_sizes
from pilotlight.errors import InputError, WorkerError
from pilotlight.runtime import Completed, Output, Worker
from pilotlight.types import Status

__all__ = ["Session"]

# How long and how often a failed first prediction is tried again: a worker may report READY too early.
_EARLY_S = 5.0
_RETRY_S = 0.25
# The least number for a median; quick predictions are repeated until the time is used up, slow ones only this often.
_MOST_RUNS, _FEWEST_RUNS, _RUNS_S = 8, 3, 3.0
_HEALTH_ANSWERS = 5
_HEALTH_EVERY_S = 0.05
# The most time that a wave may take, and the two rounds that tell noise from gain.
_LONGEST_WAVE_S = 10.0
_ROUNDS = 2
# The time limit of an invalid input: three times that of the others, and at least this; and the limit for all of them.
_LEAST_ATTEMPT_S, _ALL_ATTEMPTS_S = 3.0, 10.0


class Session:
    """Runs predictions of one input on a worker and keeps none of their outputs.

    Args:
        worker: a worker that is ready.
        inputs: the inputs of all predictions.
        timeout_s: the time limit of each prediction, in seconds.
    """

    def __init__(self, worker: Worker, inputs: Mapping[str, Any], timeout_s: float) -> None:
        self._worker = worker
        self._inputs = inputs
        self._timeout_s = timeout_s

    async def first(self) -> tuple[list[Run], Run | None]:
        """Predict until one succeeds; return the failed predictions, and the successful one or ``None``."""
        failed: list[Run] = []
        give_up_s = time.monotonic() + _EARLY_S
        while True:
            run = await self.predict()
            if run.error is None:
                return failed, run
            failed.append(run)
            if time.monotonic() > give_up_s:
                return failed, None
            await asyncio.sleep(_RETRY_S)

    async def steady(self, fewest: int = _FEWEST_RUNS) -> list[Run]:
        """Run predictions one after the other; end at the first that fails."""
        runs: list[Run] = []
        begun_s = time.monotonic()
        while len(runs) < fewest or (len(runs) < _MOST_RUNS and time.monotonic() - begun_s < _RUNS_S):
            run = await self.predict()
            if run.error is not None:
                break
            runs.append(run)
        return runs

    async def health(self) -> tuple[tuple[float, ...], tuple[float, ...], str | None]:
        """Return the health check's answer times when idle and during a prediction, and its status if not READY."""
        unhealthy = await self._unhealthy()
        idle = [await self._ask_health() for _ in range(_HEALTH_ANSWERS)]
        busy: list[float] = []
        prediction = asyncio.create_task(self.predict())
        try:
            while not prediction.done():
                busy.append(await self._ask_health())
                await asyncio.wait([prediction], timeout=_HEALTH_EVERY_S)
            await prediction
        finally:
            prediction.cancel()
        return tuple(idle), tuple(busy), unhealthy

    async def waves(self, each_s: float) -> tuple[list[Wave], str | None]:
        """Run concurrent predictions, all sizes in each round; return them, and why some are missing.

        Args:
            each_s: the time of one prediction alone, in seconds.
        """
        if each_s < QUICK_S:
            return [], None
        found: list[Wave] = []
        for _ in range(_ROUNDS):
            share_s = each_s
            for clients in wave_sizes(self._worker.slots):
                if clients * share_s > _LONGEST_WAVE_S:
                    return found, f"{clients} predictions at once would take too long; give smaller inputs with -i"
                found.append(await self._wave(clients))
                # The most that one more prediction costs: as much as each of these did.
                share_s = found[-1].wall_s / clients
        return found, None

    async def attempts(self, cases: Sequence[Case], steady: Sequence[Run]) -> list[Attempt]:
        """Send invalid inputs and return the outcomes; stop when the worker no longer answers."""
        limit_s = max(_LEAST_ATTEMPT_S, 3 * median(run.wall_s for run in steady))
        give_up_s = time.monotonic() + max(_ALL_ATTEMPTS_S, 3 * limit_s)
        found: list[Attempt] = []
        if not await self._answers(limit_s):
            return found
        for case in cases:
            attempt = await self._attempt(case, limit_s)
            if attempt.outcome == "timed_out" and not await self._answers(limit_s):
                attempt = replace(attempt, outcome="stuck")
            found.append(attempt)
            if attempt.outcome in ("crashed", "stuck") or time.monotonic() > give_up_s:
                break
        return found

    async def predict(self) -> Run:
        """Run one prediction and return it, whether it succeeded or failed.

        Raises:
            InputError: the worker refuses the inputs.
        """
        before = await self._waits()
        run = await self._run(self._inputs, self._timeout_s)
        return replace(run, waited_s=waited_s(before, await self._waits()))

    async def _run(self, inputs: Mapping[str, Any], timeout_s: float) -> Run:
        started_s = time.monotonic()
        first_s: float | None = None
        chunks = 0
        error: str | None = None
        metrics: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(timeout_s), aclosing(self._worker.stream(inputs, busy_timeout_s=60.0)) as events:
                async for event in events:
                    if isinstance(event, Output):
                        first_s = first_s or time.monotonic()
                        chunks += 1
                    elif isinstance(event, Completed):
                        prediction = event.prediction
                        error = None if prediction.status is Status.SUCCEEDED else prediction.error or "no reason given"
                        metrics = tuple(name for name in prediction.metrics if name != "predict_time")
        except TimeoutError:
            error = f"it did not finish within {timeout_s:g} s"
        except WorkerError as failure:
            error = str(failure)
        return Run(started_s, time.monotonic(), first_s, chunks, error, metrics)

    async def _wave(self, clients: int) -> Wave:
        # The queue is on our side: polling a busy server would itself use a processor.
        slots = asyncio.Semaphore(self._worker.slots)

        async def one() -> Run:
            async with slots:
                return await self._run(self._inputs, self._timeout_s)

        before = await self._waits()
        started_s = time.monotonic()
        runs = await asyncio.gather(*(one() for _ in range(clients)))
        wall_s = time.monotonic() - started_s
        waited = waited_s(before, await self._waits())
        return Wave(clients, wall_s, waited, failed=sum(run.error is not None for run in runs))

    async def _attempt(self, case: Case, limit_s: float) -> Attempt:
        started_s = time.monotonic()
        inputs = {**self._inputs, case.name: case.value}

        def ended(outcome: AttemptOutcome, message: str = "") -> Attempt:
            return Attempt(case.name, case.shown, outcome, message, time.monotonic() - started_s)

        try:
            async with asyncio.timeout(limit_s):
                work = self._worker.predict(inputs, busy_timeout_s=limit_s)
                prediction = await within_memory(work, self._worker, default_limit_bytes())
        except TimeoutError:
            return ended("timed_out")
        except InputError as error:
            return ended("refused", str(error))
        except WorkerError as error:
            return ended("crashed", str(error))
        if prediction.status is Status.SUCCEEDED:
            return ended("succeeded")
        return ended("failed", (prediction.error or "").strip())

    async def _answers(self, limit_s: float) -> bool:
        """Return whether the worker still serves the inputs that it served before."""
        return (await self._run(self._inputs, limit_s)).error is None

    async def _unhealthy(self) -> str | None:
        try:
            answer = await self._worker.health()
        except WorkerError as error:
            return str(error)
        return None if answer.ready else f"{answer.status}{f': {answer.error}' if answer.error else ''}"

    async def _ask_health(self) -> float:
        started_s = time.monotonic()
        with suppress(WorkerError):  # the measured time shows it
            await self._worker.health()
        return time.monotonic() - started_s

    async def _waits(self) -> Waits:
        return await asyncio.to_thread(waits, self._worker.pid)
