"""Measure the cost of measuring: the time observation adds to a cold start, and an answer's time in the server.

The measured project imports some of the standard library and does nothing. It does less work than any real project, so
the share that observation adds is an upper limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.bench.calibrate.figures import CalibrationFigure
from pilotlight.bench.cold.observe import first_prediction, observe
from pilotlight.bench.harness.targets import BenchTarget, StartOptions, schedule
from pilotlight.bench.stats.intervals import TooSmall, compare, median_interval
from pilotlight.errors import UsageError
from pilotlight.runtime import Project, ServerOptions, Worker, raise_for_status

__all__ = ["MIN_STARTS", "OBSERVATION", "measure_overhead"]

MIN_STARTS = 6  # observed, and as many unobserved; fewer do not support an interval
OBSERVATION = "cold start, added by observing it"

_COG_YAML = 'build:\n  python_version: "3.11"\npredict: predict.py:Predictor\n'
_PREDICT = '''"""Imports some 300 modules, and answers at once."""

import asyncio, concurrent.futures, decimal, email.mime.multipart, http.server, json, logging.config
import multiprocessing.pool, sqlite3, tarfile, unittest.mock, urllib.request, xml.dom.minidom, zipfile

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        return "done"
'''
_ADDED_LIMIT = 0.02  # the same share as the stages of a cold start may miss of its wall time
_PREDICTIONS = 100
_ANSWER_LIMIT_S = 0.005
_PAUSE_S = 0.01  # as in `bench warm`: the server frees its slot after it has answered
_TIMEOUT_S = 60.0
_STOP_GRACE_S = 0.5


async def measure_overhead(
    *, starts: int, seed: int, python: Path, on_progress: Callable[[int, int], None] | None = None
) -> tuple[CalibrationFigure, ...]:
    """Start real workers, half of them observed, in random order, and then run predictions on one.

    Args:
        starts: the number of observed and of unobserved starts, at least ``MIN_STARTS``; a start takes about 0.5 s.
        seed: the seed of their order.
        python: the interpreter whose environment has cog.
        on_progress: a callback that gets the number of finished workers and the number of all.

    Raises:
        UsageError: there are too few starts, or ``python`` has no cog.
        WorkerError: a worker does not start on this machine.
    """
    if starts < MIN_STARTS:
        raise UsageError(f"overhead: {starts} starts; give at least {MIN_STARTS}")
    options = StartOptions(python, {}, _TIMEOUT_S, _TIMEOUT_S)
    with TemporaryDirectory(prefix="pilotlight-") as folder:
        project = _write_project(Path(folder))
        kinds = {"bare": _bare, "observed": _observed}
        walls_s: dict[str, list[float]] = {kind: [] for kind in kinds}
        steps = schedule([BenchTarget(kind, project) for kind in kinds], starts, seed)
        for done, step in enumerate(steps, start=1):
            wall_s = await kinds[step.target.name](project, options)
            if step.round >= 0:
                walls_s[step.target.name].append(wall_s)
            if on_progress:
                on_progress(done, len(steps) + 1)
        answers_s = await _answers(project, options)
        if on_progress:
            on_progress(len(steps) + 1, len(steps) + 1)
    return _added(walls_s["bare"], walls_s["observed"]), _answer(answers_s)


def _added(bare_s: list[float], observed_s: list[float]) -> CalibrationFigure:
    """Return the share that observation adds; a negative share would be as wrong as one above the limit."""
    ratio = compare(bare_s, observed_s).ratio
    assert not isinstance(ratio, TooSmall), "this is a bug: MIN_STARTS do not support an interval"
    interval = (ratio.low - 1, ratio.high - 1)
    return CalibrationFigure(OBSERVATION, ratio.value - 1, "share", -_ADDED_LIMIT, _ADDED_LIMIT, ratio.n, interval)


def _answer(times_s: list[float]) -> CalibrationFigure:
    found = median_interval(times_s)
    assert not isinstance(found, TooSmall), "this is a bug: the predictions do not support an interval"
    interval = (found.low, found.high)
    return CalibrationFigure("prediction that does nothing", found.value, "s", 0.0, _ANSWER_LIMIT_S, found.n, interval)


async def _bare(project: Project, options: StartOptions) -> float:
    """Return the seconds from the spawn to the end of the first prediction, without observation."""
    worker = Worker(project, ServerOptions(python=options.python))
    try:
        await worker.start()
        marks, _ = await first_prediction(worker, {}, options)
    finally:
        await worker.stop(_STOP_GRACE_S)
    return marks.answered_s - marks.spawned_s


async def _observed(project: Project, options: StartOptions) -> float:
    return (await observe(project, {}, options)).wall_s


async def _answers(project: Project, options: StartOptions) -> list[float]:
    """Return the seconds of each prediction except the first, timed as by ``bench warm``."""
    worker = Worker(project, ServerOptions(python=options.python, sse=False))
    times_s = []
    try:
        await worker.start()
        await worker.wait_ready(options.setup_timeout_s)
        for _ in range(1 + _PREDICTIONS):
            started_s = time.perf_counter()
            prediction = await worker.predict({})
            times_s.append(time.perf_counter() - started_s)
            raise_for_status(prediction)
            await asyncio.sleep(_PAUSE_S)
    finally:
        await worker.stop(_STOP_GRACE_S)
    return times_s[1:]


def _write_project(folder: Path) -> Project:
    (folder / "cog.yaml").write_text(_COG_YAML, encoding="utf-8")
    (folder / "predict.py").write_text(_PREDICT, encoding="utf-8")
    return Project.load(folder)
