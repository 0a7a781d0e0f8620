"""Run a project under the real Cog server once, for all rules that need a run."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from pilotlight.bench.harness.targets import InputMaker, StartOptions
from pilotlight.config.tokens import predictor_environment
from pilotlight.doctor.observe.fuzz import cases
from pilotlight.doctor.observe.session import Session
from pilotlight.doctor.observe.small_inputs import with_small_work
from pilotlight.doctor.observe.waiting import waited_s, waits
from pilotlight.doctor.observe.watch import loop_stops, opened, watch_environment
from pilotlight.doctor.observed import NotStarted, Observation, Start
from pilotlight.doctor.rules.evidence import plain_error
from pilotlight.errors import ConfigError, InputError, WorkerError
from pilotlight.runtime import Project, ServerOptions, Worker, schema_for
from pilotlight.runtime.predictor_schema import PredictorSchema

__all__ = ["Plan", "observe", "observe_again"]

_STOP_GRACE_S = 0.5
_MISSING_MODULE = "No module named"


@dataclass(frozen=True, slots=True)
class Plan:
    """The project to run, and how.

    Attributes:
        project: the project, unchanged.
        inputs_for: a function from its OpenAPI document to the inputs of its predictions.
        given: the names of the inputs that the caller chose; the others are made up.
        options: the options of the worker.
        announce: a callback that gets a description of the next step.
    """

    project: Project
    inputs_for: InputMaker
    given: Collection[str]
    options: StartOptions
    announce: Callable[[str], None]


async def observe(plan: Plan) -> Observation | NotStarted:
    """Start the project once and observe it. When cancelled, leave no process behind.

    Raises:
        InputError: an input that the caller chose is wrong.
    """
    plan.announce("importing the predictor to read its input schema")
    try:
        document = await asyncio.to_thread(
            schema_for, plan.project, python=plan.options.python, import_limit_s=plan.options.setup_timeout_s
        )
        inputs, why_none = _inputs(plan, document)
        with tempfile.TemporaryDirectory(prefix="pilotlight-") as name:
            folder = Path(name)
            async with _started(plan, watch_environment(folder, plan.project, _environment(plan))) as (worker, ready_s):
                found = await _look(plan, worker, ready_s, document, inputs, why_none)
            return replace(found, opened=opened(folder), loop_blocked=loop_stops(folder))
    except (ConfigError, WorkerError) as error:
        logs = error.logs if isinstance(error, WorkerError) else ""
        return NotStarted(str(error), logs, missing_module=_MISSING_MODULE in str(error))


async def observe_again(plan: Plan, inputs: Mapping[str, Any]) -> Start | None:
    """Start the project again, unwatched, and run a few predictions; return ``None`` if the start fails this time."""
    plan.announce("starting the project again, because the first start was slow")
    try:
        async with _started(plan, {}) as (worker, ready_s):
            session = Session(worker, inputs, plan.options.predict_timeout_s)
            start = await _first(worker, ready_s, session)
            return replace(start, runs=(*start.runs, *await session.steady())) if start.runs else start
    except WorkerError:
        return None


async def _look(
    plan: Plan,
    worker: Worker,
    ready_s: float,
    document: Mapping[str, Any],
    inputs: Mapping[str, Any] | None,
    why_none: str,
) -> Observation:
    if inputs is None:
        return Observation(starts=(Start(ready_s),), unobserved={"predictions": why_none})
    session = Session(worker, inputs, plan.options.predict_timeout_s)
    plan.announce("running predictions in sequence")
    made_up = tuple(name for name in inputs if name not in plan.given)
    try:
        start = await _first(worker, ready_s, session)
    except InputError as error:
        if error.name in plan.given:
            raise
        return Observation(starts=(Start(ready_s),), unobserved={"predictions": f"{error}; give it with -i"})
    found = Observation(inputs=inputs, made_up=made_up, starts=(start,))
    if not start.runs:
        return replace(found, unobserved={"predictions": _failed(start, made_up)})
    start = replace(start, runs=(*start.runs, *await session.steady()))
    found = replace(found, starts=(start,))
    if len(start.runs) < 2:
        return replace(found, unobserved={"predictions": "the second prediction failed, the first had succeeded"})
    plan.announce("timing the health check, idle and during a prediction")
    idle, busy, unhealthy = await session.health()
    plan.announce("running concurrent predictions")
    waves, why_not = await session.waves(median(run.wall_s for run in start.runs[1:]))
    plan.announce("sending invalid and extreme inputs")
    attempts = await session.attempts(cases(PredictorSchema.of(document)), start.runs[1:])
    unobserved = {"waves": why_not} if why_not else {}
    if not attempts:
        unobserved["inputs"] = "there is no input to vary, or the worker no longer answers"
    return replace(
        found,
        health_idle_s=idle,
        health_busy_s=busy,
        unhealthy=unhealthy,
        waves=tuple(waves),
        attempts=tuple(attempts),
        unobserved=unobserved,
    )


@asynccontextmanager
async def _started(plan: Plan, env: Mapping[str, str]) -> AsyncGenerator[tuple[Worker, float], None]:
    """Yield a worker that is ready, and the seconds until it was; stop it in every case."""
    options = plan.options
    worker = Worker(plan.project, ServerOptions(python=options.python, env={**options.env, **env}))
    plan.announce("starting the project")
    try:
        await worker.start()
        await worker.wait_ready(options.setup_timeout_s)
        yield worker, time.monotonic() - worker.spawned_at_s
    finally:
        await worker.stop(_STOP_GRACE_S)


async def _first(worker: Worker, ready_s: float, session: Session) -> Start:
    """Return the start up to its first prediction that succeeded."""
    failed, run = await session.first()
    if run is None:
        return Start(ready_s, failed=tuple(failed))
    return Start(
        ready_s=ready_s,
        cold_s=run.ended_s - worker.spawned_at_s,
        waited_s=waited_s({}, await asyncio.to_thread(waits, worker.pid, ours=False)),
        failed=tuple(failed),
        late_s=run.started_s - (worker.spawned_at_s + ready_s),
        runs=(run,),
    )


def _inputs(plan: Plan, document: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the inputs, or ``None`` and the reason why none can be made up."""
    try:
        inputs = plan.inputs_for(document)
    except InputError as error:
        if error.name in plan.given:
            raise
        return None, str(error)
    return with_small_work(inputs, PredictorSchema.of(document)), ""


def _failed(start: Start, made_up: tuple[str, ...]) -> str:
    fails = f"predictions fail: {plain_error(start.failed[0].error or '')}"
    return f"{fails}; {', '.join(made_up)} had to be made up: give inputs with -i" if made_up else fails


def _environment(plan: Plan) -> dict[str, str]:
    return {**predictor_environment(os.environ), **plan.project.server_environment(), **plan.options.env}
