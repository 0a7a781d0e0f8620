"""Measure cold starts of several projects in turn, each in a fresh worker. The result is saved after every start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.caches import BYTECODE_VARIABLES, COMPILE_VARIABLES, refuse_given
from pilotlight.bench.cold.observe import ColdStart, Conditions, observe
from pilotlight.bench.cold.pagecache import Method, drop
from pilotlight.bench.cold.results import (
    ColdResult,
    ColdSettings,
    ImportSeconds,
    ProcessResult,
    Span,
    StageSeconds,
)
from pilotlight.bench.harness.environment import load_1m, read_environment, weight_hashes
from pilotlight.bench.harness.failures import outcome_of, words_of
from pilotlight.bench.harness.proc import steal_share, system_ticks
from pilotlight.bench.harness.series import take_turns, with_info
from pilotlight.bench.harness.targets import (
    BenchTarget,
    InputMaker,
    SeriesStep,
    StartOptions,
    describe,
    inputs_of,
    schedule,
)
from pilotlight.errors import WorkerError

__all__ = ["DEFAULT_RUNS", "ColdPlan", "measure"]

# 6 starts allow a 95 % interval of the median, from the fastest to the slowest; with 10, one of each may be an outlier.
DEFAULT_RUNS = 10
# Shorter imports do not matter for a cold start, and there are hundreds of them.
_SHORTEST_IMPORT_S = 0.0005


@dataclass(frozen=True, slots=True)
class ColdPlan:
    """The projects to start, and how.

    Attributes:
        targets: the projects, each with its own name.
        runs: the measured starts of each project.
        seed: the seed of their order.
        drop_method: how the page cache is dropped before every measured start; ``None`` leaves it as it is.
        options: the options of the workers.
        conditions: the caches that each start finds (except the page cache), and its memory limit.
    """

    targets: tuple[BenchTarget, ...]
    runs: int
    seed: int
    drop_method: Method | None
    options: StartOptions
    conditions: Conditions = field(default_factory=Conditions)


async def measure(
    plan: ColdPlan,
    inputs_for: InputMaker,
    *,
    save: Callable[[ColdResult], None],
    announce: Callable[[SeriesStep], None],
) -> ColdResult:
    """Start workers in the order of ``schedule``, one at a time; each is stopped before the next.

    A project that fails once is not started again. When cancelled, leave no process behind.

    Args:
        plan: what to measure.
        inputs_for: a function from a project's OpenAPI document to the input of its first prediction.
        save: called with the result so far, before the first start and after every start.
        announce: called before every start.

    Raises:
        UsageError: a project cannot be served, an input is wrong, or a given variable names a cache that each start
            replaces.
    """
    _refuse_given_caches(plan)
    runner = _Runner(plan, inputs_for, await _empty_result(plan))
    return await take_turns(runner, schedule(plan.targets, plan.runs, plan.seed), save=save, announce=announce)


class _Runner:
    """Takes steps, and keeps what the first start of each project found out."""

    def __init__(self, plan: ColdPlan, inputs_for: InputMaker, result: ColdResult) -> None:
        self.result = result
        self._plan = plan
        self._inputs_for = inputs_for
        self._inputs: dict[str, dict[str, Any]] = {}
        self._files: dict[str, frozenset[Path]] = {}

    async def take(self, step: SeriesStep) -> None:
        """Run one start and add its outcome to ``result``."""
        name, load, ticks = step.target.name, load_1m(), system_ticks()
        evicted = 0
        if self._plan.drop_method is not None and step.round >= 0:
            evicted = await asyncio.to_thread(drop, self._plan.drop_method, self._files[name])
        try:
            start = await self._start(step)
        except WorkerError as error:
            found: dict[str, Any] = {"outcome": outcome_of(error), "message": words_of(error)}
        else:
            found = {"outcome": "succeeded", **_values(start)}
        process = ProcessResult(
            project=name,
            round=max(step.round, 0),
            measured=step.round >= 0,
            load_1m=load,
            steal_share=steal_share(ticks, system_ticks()),
            evicted_files=evicted,
            **found,
        )
        self.result = self.result.model_copy(update={"processes": (*self.result.processes, process)})

    async def _start(self, step: SeriesStep) -> ColdStart:
        name, project, options = step.target.name, step.target.project, self._plan.options.of(step.target)
        first = step.round < 0
        if first:
            self._inputs[name] = await inputs_of(step.target, self._inputs_for, options)
            self.result = with_info(self.result, name, inputs=self._inputs[name])
        start = await observe(project, self._inputs[name], options, self._plan.conditions, note_files=first)
        if first:
            self._files[name] = start.files
            self.result = with_info(self.result, name, weights=await asyncio.to_thread(weight_hashes, start.files))
        return start


async def _empty_result(plan: ColdPlan) -> ColdResult:
    options = plan.options
    return ColdResult(
        created_at=datetime.now(UTC),
        finished=False,
        settings=ColdSettings(
            runs=plan.runs,
            seed=plan.seed,
            page_cache="dropped" if plan.drop_method else "hot",
            drop_method=plan.drop_method,
            compile_cache=plan.conditions.compile_cache,
            bytecode=plan.conditions.bytecode,
            memory_limit_bytes=plan.conditions.memory_limit_bytes,
            setup_timeout_s=options.setup_timeout_s,
            predict_timeout_s=options.predict_timeout_s,
        ),
        environment=await asyncio.to_thread(read_environment, options.python),
        projects=await asyncio.to_thread(describe, plan.targets, options),
        processes=(),
    )


def _refuse_given_caches(plan: ColdPlan) -> None:
    given = {**plan.options.env, **{name: value for target in plan.targets for name, value in target.env.items()}}
    if plan.conditions.compile_cache == "absent":
        refuse_given(COMPILE_VARIABLES, given, "--compile-cache absent")
    if plan.conditions.bytecode == "absent":
        refuse_given(BYTECODE_VARIABLES, given, "--bytecode absent")


def _values(start: ColdStart) -> dict[str, Any]:
    """Return the fields of a ``ProcessResult`` for a start that succeeded."""
    counters = start.counters
    return {
        "wall_s": start.wall_s,
        "ready_s": start.ready_s,
        "first_output_s": start.first_output_s,
        "stages": tuple(
            StageSeconds(stage=one.stage, charged_s=one.charged_s, overlapped_s=one.overlapped_s)
            for one in start.stages
        ),
        "spans": tuple(Span(stage=one.stage, start_s=one.start_s, end_s=one.end_s) for one in start.intervals),
        "imports": tuple(
            ImportSeconds(package=one.package, self_s=one.self_s, modules=one.modules)
            for one in start.imports
            if one.self_s >= _SHORTEST_IMPORT_S
        ),
        "read_bytes": counters.read_bytes if counters else None,
        "major_faults": counters.major_faults if counters else None,
        "peak_rss_bytes": counters.peak_rss_bytes if counters else None,
        "cpu_s": counters.cpu_s if counters else None,
        "gpu_peak_bytes": start.gpu_peak_bytes,
    }
