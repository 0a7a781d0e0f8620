"""Measure the warm-up of projects: fresh workers in turn, each repeating the same prediction.

A prediction is timed from outside, from the request to the end of the answer, over one kept connection, as one plain
answer instead of server-sent events: a stream of 200 chunks takes 1.5 times as long to receive, and sometimes 40 ms
longer when the network stack waits for a packet to acknowledge, which is not the predictor's time. The remaining cost
of the bench is 0.2 ms. A pause separates two predictions and is in none of the times: Cog's server frees its slot only
after it has answered, and refuses half of the requests that follow at once.

The first prediction of any process takes about 0.15 s for Cog's own late imports (numpy and requests, if installed),
which a warm-up in ``setup()`` would not save.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.bench.harness.clock import Clock
from pilotlight.bench.harness.environment import load_1m, read_environment
from pilotlight.bench.harness.failures import outcome_of, words_of
from pilotlight.bench.harness.proc import steal_share, system_ticks
from pilotlight.bench.harness.series import take_turns, with_info
from pilotlight.bench.harness.targets import (
    BenchTarget,
    InputMaker,
    SeriesStep,
    StartOptions,
    describe,
    schedule,
)
from pilotlight.bench.warm.results import WarmProcess, WarmResult, WarmSettings
from pilotlight.bench.warm.workers import CogWorkers, MeasuredWorker, Workers
from pilotlight.errors import WorkerError, WorkerTimeoutError
from pilotlight.runtime import raise_for_status

__all__ = ["DEFAULT_ITERATIONS", "DEFAULT_PROCESSES", "WarmPlan", "measure"]

# 5 allow an interval on the steady time (of processes and their iterations); 4 against 4 show a difference.
DEFAULT_PROCESSES = 5
# A warm-up of 40 predictions leaves more than a quarter of the run for the steady state.
DEFAULT_ITERATIONS = 60
# After 10 ms no request was refused; see above.
_PAUSE_S = 0.01
_STOP_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """The projects to measure, and how.

    Attributes:
        targets: the projects, each with its own name.
        processes: the measured processes of each project.
        iterations: the predictions in each process.
        seed: the seed of their order.
        options: the options of the workers.
    """

    targets: tuple[BenchTarget, ...]
    processes: int
    iterations: int
    seed: int
    options: StartOptions


async def measure(
    plan: WarmPlan,
    inputs_for: InputMaker,
    *,
    save: Callable[[WarmResult], None],
    announce: Callable[[SeriesStep], None],
    tick: Callable[[], None] = lambda: None,
    workers: Workers | None = None,
) -> WarmResult:
    """Run processes in the order of ``schedule``, one at a time; each is stopped before the next.

    A project that fails once is not started again. When cancelled, leave no process behind.

    Args:
        plan: what to measure.
        inputs_for: a function from a project's OpenAPI document to the input of its predictions.
        save: called with the result so far, before the first process and after every one.
        announce: called before every process.
        tick: called after every prediction, during the pause before the next.
        workers: the source of workers; real Cog servers if not given.

    Raises:
        UsageError: a project cannot be served, or an input is wrong.
    """
    runner = _Runner(plan, inputs_for, tick, await _empty_result(plan), workers or CogWorkers())
    return await take_turns(runner, schedule(plan.targets, plan.processes, plan.seed), save=save, announce=announce)


class _Runner:
    """Takes steps, and keeps what the first start of each project found out."""

    def __init__(
        self,
        plan: WarmPlan,
        inputs_for: InputMaker,
        tick: Callable[[], None],
        result: WarmResult,
        workers: Workers,
    ) -> None:
        self.result = result
        self._workers = workers
        self._plan = plan
        self._inputs_for = inputs_for
        self._tick = tick
        self._inputs: dict[str, dict[str, Any]] = {}

    async def take(self, step: SeriesStep) -> None:
        """Run one process and add its outcome to ``result``."""
        load, ticks = load_1m(), system_ticks()
        times_s: list[float] = []
        found: dict[str, Any] = {"outcome": "succeeded"}
        try:
            found["ready_s"] = await (self._prepare(step.target) if step.round < 0 else self._run(step.target, times_s))
        except WorkerError as error:
            found = {"outcome": outcome_of(error), "message": words_of(error)}
        process = WarmProcess(
            project=step.target.name,
            round=max(step.round, 0),
            measured=step.round >= 0,
            times_s=tuple(times_s),
            load_1m=load,
            steal_share=steal_share(ticks, system_ticks()),
            **found,
        )
        self.result = self.result.model_copy(update={"processes": (*self.result.processes, process)})

    async def _prepare(self, target: BenchTarget) -> float:
        """Run the first start, which fills caches and shows which weights are read; return the seconds to ready."""
        options = self._plan.options.of(target)
        inputs = await self._workers.inputs(target, self._inputs_for, options)
        self._inputs[target.name] = inputs
        self.result = with_info(self.result, target.name, inputs=inputs)
        ready_s, weights = await self._workers.first_start(target, inputs, options)
        self.result = with_info(self.result, target.name, weights=weights)
        return ready_s

    async def _run(self, target: BenchTarget, times_s: list[float]) -> float:
        """Run one measured process, adding each time to ``times_s``; return the seconds to ready."""
        options = self._plan.options.of(target)
        worker, clock, inputs = self._workers.worker(target, options), self._workers.clock, self._inputs[target.name]
        try:
            ready_s = await worker.ready_s(options.setup_timeout_s)
            for _ in range(self._plan.iterations):
                times_s.append(await _predict(target, worker, clock, inputs, options.predict_timeout_s))
                self._tick()
                await clock.sleep(_PAUSE_S)
        finally:
            await worker.stop(_STOP_GRACE_S)
        return ready_s


async def _predict(
    target: BenchTarget, worker: MeasuredWorker, clock: Clock, inputs: Mapping[str, Any], limit_s: float
) -> float:
    """Return how long one prediction took, in seconds."""
    started_s = clock.now()
    try:
        async with asyncio.timeout(limit_s):
            prediction = await worker.predict(inputs)
    except TimeoutError:
        raise WorkerTimeoutError(
            f"a prediction of {target.project.root} did not finish within {limit_s:g} s; "
            "allow more with --timeout, or give smaller inputs",
            logs=worker.logs,
        ) from None
    taken_s = clock.now() - started_s
    raise_for_status(prediction)
    return taken_s


async def _empty_result(plan: WarmPlan) -> WarmResult:
    options = plan.options
    return WarmResult(
        created_at=datetime.now(UTC),
        finished=False,
        settings=WarmSettings(
            processes=plan.processes,
            iterations=plan.iterations,
            pause_s=_PAUSE_S,
            seed=plan.seed,
            setup_timeout_s=options.setup_timeout_s,
            predict_timeout_s=options.predict_timeout_s,
        ),
        environment=await asyncio.to_thread(read_environment, options.python),
        projects=await asyncio.to_thread(describe, plan.targets, options),
        processes=(),
    )
