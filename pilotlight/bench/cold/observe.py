"""Observe one cold start of a worker from outside, from the spawn to the end of its first prediction."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.caches import BYTECODE_VARIABLES, COMPILE_VARIABLES, Presence, fresh_folders
from pilotlight.bench.cold.records import hook_environment, opened_files, read_records
from pilotlight.bench.cold.stages import Interval, StageTime, waterfall
from pilotlight.bench.cold.timeline import ImportTime, Marks, import_times, timeline
from pilotlight.bench.cold.watch import watch
from pilotlight.bench.harness.gpus import GpuMemory
from pilotlight.bench.harness.memory import default_limit_bytes, within_memory
from pilotlight.bench.harness.proc import Counters, group_counters
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.config.tokens import predictor_environment
from pilotlight.errors import WorkerTimeoutError
from pilotlight.runtime import Completed, Health, Output, Project, ServerOptions, Worker, raise_for_status

__all__ = ["ColdStart", "Conditions", "first_prediction", "observe"]

_STOP_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class Conditions:
    """The caches that a start finds, and its memory limit.

    Attributes:
        compile_cache: ``absent`` replaces the compiler caches by empty folders.
        bytecode: ``absent`` does the same for compiled Python modules.
        memory_limit_bytes: the limit above which a worker is killed; see ``memory.within_memory``.
    """

    compile_cache: Presence = "present"
    bytecode: Presence = "present"
    memory_limit_bytes: int = field(default_factory=default_limit_bytes)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """One start that succeeded; times since the spawn.

    Attributes:
        wall_s: the time to the end of the first prediction.
        ready_s: the time to the health check that reported READY.
        first_output_s: the time to the first chunk of output; ``None`` without one.
        intervals: the stages with their start and end.
        stages: the stages as a waterfall, whose charged times sum to ``wall_s``.
        imports: the packages, the slowest first.
        counters: the counters of the worker's processes; ``None`` if the system does not count.
        files: the files that the start read; empty unless asked for.
        gpu_peak_bytes: the most GPU memory that was seen in use; ``None`` without a GPU.
    """

    wall_s: float
    ready_s: float
    first_output_s: float | None
    intervals: Sequence[Interval]
    stages: Sequence[StageTime]
    imports: Sequence[ImportTime]
    counters: Counters | None
    files: frozenset[Path]
    gpu_peak_bytes: int | None


async def observe(
    project: Project,
    inputs: Mapping[str, Any],
    options: StartOptions,
    conditions: Conditions | None = None,
    *,
    note_files: bool = False,
) -> ColdStart:
    """Start a worker, run one prediction, and stop the worker in every case.

    Args:
        project: any Cog project; stages that it records with ``pilotlight.tracing`` are used.
        inputs: the inputs of the prediction.
        options: the options of the worker.
        conditions: the caches and the memory limit; ``Conditions()`` if not given.
        note_files: whether to find out which files are read, which makes the start slower; see ``watch.Seen``.

    Raises:
        WorkerError: the start failed; the class tells how.
        UsageError: the project cannot be served, or refuses the inputs.
    """
    conditions = conditions or Conditions()
    gpu = await asyncio.to_thread(GpuMemory)
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as name:
        folder = Path(name)
        environ = {**predictor_environment(os.environ), **project.server_environment(), **options.env}
        hook = hook_environment(folder, project.predict_file, environ, note_files=note_files)
        env = {**options.env, **hook, **_fresh_caches(conditions, folder)}
        worker = Worker(project, ServerOptions(python=options.python, env=env))
        try:
            await worker.start()
            async with watch(worker.pid, gpu, throughout=note_files) as seen:
                work = first_prediction(worker, inputs, options)
                marks, first_output_s = await within_memory(work, worker, conditions.memory_limit_bytes)
            counters = await asyncio.to_thread(group_counters, worker.pid)
        finally:
            await worker.stop(_STOP_GRACE_S)
        processes = read_records(folder)
    intervals = timeline(processes, marks)
    wall_s = marks.answered_s - marks.spawned_s
    return ColdStart(
        wall_s=wall_s,
        ready_s=marks.ready_s - marks.spawned_s,
        first_output_s=None if first_output_s is None else first_output_s - marks.spawned_s,
        intervals=intervals,
        stages=waterfall(intervals, wall_s),
        imports=import_times(processes),
        counters=counters,
        files=frozenset(path for path in seen.files | opened_files(processes) if not path.is_relative_to(folder)),
        gpu_peak_bytes=seen.gpu_peak_bytes,
    )


async def first_prediction(
    worker: Worker, inputs: Mapping[str, Any], options: StartOptions
) -> tuple[Marks, float | None]:
    """Wait until a worker that was just started is ready, and run a prediction on it.

    Return the times of the steps, and when the first chunk of output came (``None`` without one).
    """
    health = await worker.wait_ready(options.setup_timeout_s)
    ready_s = time.monotonic()
    first_output_s: float | None = None
    try:
        async with asyncio.timeout(options.predict_timeout_s), aclosing(worker.stream(inputs)) as events:
            async for event in events:
                if isinstance(event, Output) and first_output_s is None:
                    first_output_s = time.monotonic()
                if isinstance(event, Completed):
                    answered_s = time.monotonic()
                    raise_for_status(event.prediction)
    except TimeoutError:
        raise WorkerTimeoutError(
            f"the first prediction of {worker.project.root} did not finish within {options.predict_timeout_s:g} s; "
            "allow more with --timeout, or give smaller inputs",
            logs=worker.logs,
        ) from None
    return Marks(worker.spawned_at_s, _setup_done_s(health, ready_s), ready_s, ready_s, answered_s), first_output_s


def _setup_done_s(health: Health, ready_s: float) -> float:
    """Return when setup ended by the server's report, on this process's clock; ``ready_s`` without a report."""
    if health.setup_completed_at is None:
        return ready_s
    return health.setup_completed_at.timestamp() - time.time() + time.monotonic()


def _fresh_caches(conditions: Conditions, folder: Path) -> dict[str, str]:
    names = COMPILE_VARIABLES if conditions.compile_cache == "absent" else ()
    return fresh_folders((*names, *(BYTECODE_VARIABLES if conditions.bytecode == "absent" else ())), folder)
