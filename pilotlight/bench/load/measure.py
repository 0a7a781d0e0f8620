"""Load a Cog server step by step. The result is saved after every step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pilotlight.bench.harness.documents import ProjectInfo
from pilotlight.bench.harness.environment import read_environment
from pilotlight.bench.harness.targets import BenchTarget, InputMaker, StartOptions, describe
from pilotlight.bench.load.audit import audit_step, judge
from pilotlight.bench.load.objectives import Objective
from pilotlight.bench.load.play import Played, play
from pilotlight.bench.load.records import RequestRecord, columns, failures
from pilotlight.bench.load.results import Generator, LoadResult, LoadSettings, StepResult
from pilotlight.bench.load.send import AsyncMode, PlainMode, RequestMode, Sender, StreamMode
from pilotlight.bench.load.server import Served, require_loopback, serving
from pilotlight.bench.load.steps import LoadStep
from pilotlight.bench.load.summary import summarize_step
from pilotlight.bench.load.turns import SlotQueue
from pilotlight.bench.load.webhook import receiving
from pilotlight.errors import WorkerError
from pilotlight.runtime.events import discard, raise_for_status
from pilotlight.runtime.http.cog_api import CogApi
from pilotlight.runtime.http.request import encode_body, new_prediction_id
from pilotlight.runtime.http.transport import Pool

__all__ = ["LoadPlan", "measure", "step_result"]

# A server whose Python process has died refuses everything as busy; after this time without success it is checked.
_DOUBT_S = 2.0


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The load to measure.

    Attributes:
        where: a project, of which one worker is started, or the URL of a Cog server.
        options: the options of the worker; ``predict_timeout_s`` is the limit of each request.
        steps: the levels of load, in order.
        settings: the same as fields of the result.
        objectives: the objectives for the goodput.
    """

    where: BenchTarget | str
    options: StartOptions
    steps: tuple[LoadStep, ...]
    settings: LoadSettings
    objectives: tuple[Objective, ...] = ()


async def measure(
    plan: LoadPlan,
    inputs_for: InputMaker,
    *,
    save: Callable[[LoadResult], None],
    announce: Callable[[str], None] = lambda _: None,
    look: Callable[[LoadStep, float], None] = lambda _step, _elapsed_s: None,
) -> LoadResult:
    """Start a worker unless a URL is given, warm it up, and play all steps.

    If the server dies, the measurement ends: the result then has a step with a ``message``, and is finished. When
    cancelled, save the finished part of the current step, and leave no process behind.

    Args:
        plan: what to measure.
        inputs_for: a function from the server's OpenAPI document to the input of its predictions.
        save: called with the result so far, before the first step and after every step.
        announce: called with a description of the next action.
        look: called 50 times a second with the step and its age in seconds.

    Raises:
        UsageError: the project cannot be served, the URL is invalid, or an input is wrong.
        WorkerError: the server did not become ready, or failed in the warm-up.
    """
    result = await _empty_result(plan)
    announce("starting the worker" if isinstance(plan.where, BenchTarget) else f"connecting to {plan.where}")
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(plan.where, inputs_for, plan.options))
        infos = tuple(info.model_copy(update={"inputs": served.inputs}) for info in result.projects)
        result = result.model_copy(update={"projects": infos})
        pool = Pool(served.endpoint)
        stack.callback(pool.close)
        way = await _way(plan, served, stack)
        announce(f"warming up: {plan.settings.warmup} predictions")
        await _warm_up(plan, served, Sender(pool, way, turns=SlotQueue(), timeout_s=plan.options.predict_timeout_s))
        save(result)
        for step in plan.steps:
            announce(str(step))
            turns = SlotQueue() if plan.settings.queue else None
            sender = Sender(pool, way, turns=turns, timeout_s=plan.options.predict_timeout_s)
            played = Played()
            try:
                lost = await _play(step, sender, played, look, served)
            except asyncio.CancelledError:
                save(_with(result, step_result(plan, step, played, complete=False)))
                raise
            result = _with(result, step_result(plan, step, played, complete=lost is None, message=lost))
            save(result)
            if lost is not None:
                break
    finished = result.model_copy(update={"finished": True})
    save(finished)
    return finished


async def _way(plan: LoadPlan, served: Served, stack: AsyncExitStack) -> RequestMode:
    match plan.settings.mode:
        case "plain":
            return PlainMode(served.endpoint, served.inputs)
        case "stream":
            return StreamMode(served.endpoint, served.inputs)
        case "async":
            require_loopback(served.endpoint)
            return AsyncMode(served.endpoint, served.inputs, await stack.enter_async_context(receiving()))


async def _warm_up(plan: LoadPlan, served: Served, sender: Sender) -> None:
    """Run a first prediction whose errors are explained, and the others as the load will send them."""
    api = CogApi(served.url)
    try:
        async with asyncio.timeout(plan.options.predict_timeout_s):
            body = encode_body(served.inputs)
            raise_for_status(await api.run(new_prediction_id(), body, discard, busy_timeout_s=10.0))
    except TimeoutError:
        raise WorkerError(
            f"the first prediction did not finish within {plan.options.predict_timeout_s:g} s; "
            "allow more with --timeout, or give smaller inputs"
        ) from None
    finally:
        await api.close()
    for _ in range(max(plan.settings.warmup, 1)):
        record = RequestRecord(time.monotonic())
        await sender.send(record)
        if record.outcome != "succeeded":
            raise WorkerError(f"a warm-up prediction {record.outcome.replace('_', ' ')}: {record.message}")


async def _play(
    step: LoadStep, sender: Sender, played: Played, look: Callable[[LoadStep, float], None], served: Served
) -> str | None:
    """Play a step; return the reason if the server was lost before its end, else ``None``."""
    playing = asyncio.create_task(play(step, sender.send, played, partial(look, step)))
    try:
        while True:
            succeeded = sender.succeeded
            await asyncio.wait([playing], timeout=_DOUBT_S)
            if playing.done():
                playing.result()
                return await served.lost()
            if sender.succeeded == succeeded and (lost := await served.lost()) is not None:
                return lost
    finally:
        playing.cancel()
        await asyncio.wait([playing])


def step_result(
    plan: LoadPlan, step: LoadStep, played: Played, *, complete: bool, message: str | None = None
) -> StepResult:
    """Return what a step has shown so far, from its records; pure."""
    open_loop = step.schedule is not None
    requests = columns(played.records, played.began)
    generator = played.generator or Generator(wall_s=0.0, cpu_s=0.0, lags_s=(), steal_share=None)
    summary = summarize_step(
        requests,
        window_s=_window_s(step, played, complete=complete),
        open_loop=open_loop,
        streamed=plan.settings.mode == "stream",
        objectives=plan.objectives,
    )
    audit = audit_step(requests, generator, summary, plan.settings.arrivals)
    return StepResult(
        rate=step.rate,
        clients=step.clients,
        complete=complete,
        message=message,
        failures=failures(played.records),
        requests=requests,
        generator=generator,
        summary=summary,
        audit=audit,
        verdict=judge(requests, summary, audit, complete=complete),
    )


def _window_s(step: LoadStep, played: Played, *, complete: bool) -> float:
    """Return the seconds during which requests were sent."""
    if not complete:
        return max(played.generator.wall_s if played.generator else 0.0, 1e-6)
    if step.schedule is not None and step.duration_s is not None:
        return step.duration_s
    stopped_s = played.stopped - played.began
    return stopped_s if step.duration_s is None else min(stopped_s, step.duration_s)


def _with(result: LoadResult, step: StepResult) -> LoadResult:
    return result.model_copy(update={"steps": (*result.steps, step)})


async def _empty_result(plan: LoadPlan) -> LoadResult:
    return LoadResult(
        created_at=datetime.now(UTC),
        finished=False,
        settings=plan.settings,
        environment=await asyncio.to_thread(read_environment, plan.options.python),
        projects=await asyncio.to_thread(_described, plan.where, plan.options),
        steps=(),
    )


def _described(where: BenchTarget | str, options: StartOptions) -> tuple[ProjectInfo, ...]:
    if isinstance(where, BenchTarget):
        return describe([where], options)
    return (ProjectInfo(name=where, env={}, inputs=None, revision=None, weights={}),)
