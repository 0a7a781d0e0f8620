"""One cold start of a worker, watched from outside: from the spawn to the end of its first prediction."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.records import hook_environment, opened_files, read_records
from pilotlight.bench.cold.stages import Interval, StageTime, waterfall
from pilotlight.bench.cold.timeline import ImportTime, Marks, import_times, timeline
from pilotlight.bench.proc import Counters, group_counters, touched_files
from pilotlight.bench.targets import StartOptions
from pilotlight.errors import WorkerTimeoutError
from pilotlight.runtime import Completed, Health, Output, Project, ServerOptions, Worker, raise_for_status

__all__ = ["ColdStart", "observe"]

_STOP_GRACE_S = 0.5
_FILES_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class ColdStart:
    """One start that has succeeded; times since the spawn.

    Attributes:
        wall_s: to the end of the first prediction.
        ready_s: to the health check that said it is ready.
        first_output_s: to the first chunk of output; ``None`` when there was none.
        intervals: the stages as they lay in time.
        stages: the same as a waterfall, whose charged times sum to ``wall_s``.
        imports: the slowest packages first.
        counters: of the worker's processes; ``None`` where the system does not count.
        files: what the start read from; empty unless asked for.
    """

    wall_s: float
    ready_s: float
    first_output_s: float | None
    intervals: Sequence[Interval]
    stages: Sequence[StageTime]
    imports: Sequence[ImportTime]
    counters: Counters | None
    files: frozenset[Path]


async def observe(
    project: Project, inputs: Mapping[str, Any], options: StartOptions, *, note_files: bool = False
) -> ColdStart:
    """Starts a worker, runs one prediction, and stops the worker, whatever happens.

    Args:
        project: knows nothing of this; stages that it stamps itself (``pilotlight.stamps``) are used.
        inputs: of the prediction.
        options: of the worker.
        note_files: also find out which files are read, which makes the start slower. What compiled code opens for less
            than 0.05 s can be missed.

    Raises:
        SetupFailedError, WorkerCrashedError, WorkerTimeoutError, PredictionFailedError: how it did not succeed.
        UsageError: the project cannot be served as it stands, or refuses the inputs.
    """
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as name:
        folder = Path(name)
        hook = hook_environment(folder, project.predict_file, _environment(project, options), note_files=note_files)
        worker = Worker(project, ServerOptions(python=options.python, env={**options.env, **hook}))
        try:
            await worker.start()
            async with _files_of(worker.pid) if note_files else nullcontext(set[Path]()) as files:
                marks, first_output_s = await _run(worker, inputs, options)
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
        files=frozenset(path for path in files | opened_files(processes) if not path.is_relative_to(folder)),
    )


async def _run(worker: Worker, inputs: Mapping[str, Any], options: StartOptions) -> tuple[Marks, float | None]:
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
            "allow more with --timeout, or give inputs that need less",
            logs=worker.logs,
        ) from None
    return Marks(worker.spawned_at_s, _setup_done_s(health, ready_s), ready_s, ready_s, answered_s), first_output_s


def _setup_done_s(health: Health, ready_s: float) -> float:
    """When the server says that setup ended, on our clock; when we saw it, where it does not say."""
    if health.setup_completed_at is None:
        return ready_s
    return health.setup_completed_at.timestamp() - time.time() + time.monotonic()


@asynccontextmanager
async def _files_of(group: int) -> AsyncGenerator[set[Path], None]:
    """What a group maps and opens while this context lasts; complete when it ends."""
    files: set[Path] = set()

    async def watch() -> None:
        while True:
            files.update(await asyncio.to_thread(touched_files, group))
            await asyncio.sleep(_FILES_INTERVAL_S)

    watcher = asyncio.create_task(watch())
    try:
        yield files
        files.update(await asyncio.to_thread(touched_files, group))
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


def _environment(project: Project, options: StartOptions) -> dict[str, str]:
    return {**os.environ, **project.server_environment(), **options.env}
