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

# READY that is not true yet: for so long, and so often, a prediction that failed is tried again.
_EARLY_S = 5.0
_RETRY_S = 0.25
# Enough for a median; as many as fit into the time where predictions are quick, and no fewer where they are not.
_MOST_RUNS, _FEWEST_RUNS, _RUNS_S = 8, 3, 3.0
_HEALTH_ANSWERS = 5
_HEALTH_EVERY_S = 0.05
# What a wave may take at worst, and the two rounds that tell noise from gain.
_LONGEST_WAVE_S = 10.0
_ROUNDS = 2
# Time for an input meant to be too much: three times what the others take, and at least this; and for all of them.
_LEAST_ATTEMPT_S, _ALL_ATTEMPTS_S = 3.0, 10.0


class Session:
    """Makes predictions of one input on a worker; keeps none of their outputs.

    Args:
        worker: is ready.
        inputs: of all predictions.
        timeout_s: of each.
    """

    def __init__(self, worker: Worker, inputs: Mapping[str, Any], timeout_s: float) -> None:
        self._worker = worker
        self._inputs = inputs
        self._timeout_s = timeout_s

    async def first(self) -> tuple[list[Run], Run | None]:
        """Predictions until one succeeds: those that failed, and that one, if it came."""
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
        """Predictions one after the other; ends at the first that fails."""
        runs: list[Run] = []
        begun_s = time.monotonic()
        while len(runs) < fewest or (len(runs) < _MOST_RUNS and time.monotonic() - begun_s < _RUNS_S):
            run = await self.predict()
            if run.error is not None:
                break
            runs.append(run)
        return runs

    async def health(self) -> tuple[tuple[float, ...], tuple[float, ...], str | None]:
        """How long its answers take without a prediction and during one, and what it says if that is not READY."""
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
        """Several at once, the sizes of a round one after the other; and why not all.

        Args:
            each_s: what one prediction takes alone.
        """
        if each_s < QUICK_S:
            return [], None
        found: list[Wave] = []
        for _ in range(_ROUNDS):
            share_s = each_s
            for clients in wave_sizes(self._worker.slots):
                if clients * share_s > _LONGEST_WAVE_S:
                    return found, f"{clients} predictions at once would take too long; give inputs that need less, -i"
                found.append(await self._wave(clients))
                # What one more costs at worst: as much as each of these did.
                share_s = found[-1].wall_s / clients
        return found, None

    async def attempts(self, cases: Sequence[Case], steady: Sequence[Run]) -> list[Attempt]:
        """What becomes of inputs meant to be too much; ends where the worker does, empty where it has already."""
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
        """One prediction; however it ends.

        Raises:
            InputError: the inputs are refused.
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
        # The queue is ours: asking a busy server again and again would itself take a processor.
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
        """Whether it still serves the inputs that it did before."""
        return (await self._run(self._inputs, limit_s)).error is None

    async def _unhealthy(self) -> str | None:
        try:
            answer = await self._worker.health()
        except WorkerError as error:
            return str(error)
        return None if answer.ready else f"{answer.status}{f': {answer.error}' if answer.error else ''}"

    async def _ask_health(self) -> float:
        started_s = time.monotonic()
        with suppress(WorkerError):  # the time says it
            await self._worker.health()
        return time.monotonic() - started_s

    async def _waits(self) -> Waits:
        return await asyncio.to_thread(waits, self._worker.pid)
