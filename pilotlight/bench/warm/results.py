"""The result file of ``bench warm``: the time of every prediction of every process. Format 1.

History: 1, the first.
"""

from __future__ import annotations

from typing import Literal

from pilotlight.bench.harness.documents import Strict
from pilotlight.bench.harness.series import Series, SeriesProcess, merge_series
from pilotlight.bench.stats.warmup import Warmup, summarize

__all__ = ["WarmProcess", "WarmResult", "WarmSettings", "merge"]


class WarmSettings(Strict):
    """The settings of the run.

    Attributes:
        processes: the measured processes of each project.
        iterations: the predictions in each process, one after the other.
        pause_s: the pause between a prediction's end and the next request; in none of the times.
        seed: the seed of the order of the processes.
    """

    processes: int
    iterations: int
    pause_s: float
    seed: int
    setup_timeout_s: float
    predict_timeout_s: float


class WarmProcess(SeriesProcess):
    """One worker that repeated the same prediction; an unmeasured one has no times.

    Attributes:
        ready_s: the time from the spawn to READY; ``None`` if it was not reached.
        times_s: the time of each prediction in order, from the request to the end of the answer; incomplete if a
            prediction failed or the run was interrupted.
    """

    ready_s: float | None = None
    times_s: tuple[float, ...] = ()


class WarmResult(Series[WarmProcess]):
    """One run of ``bench warm``."""

    format: Literal["pilotlight-bench-warm"] = "pilotlight-bench-warm"
    format_version: Literal[1] = 1
    settings: WarmSettings

    def warmup(self, project: str) -> Warmup | None:
        """Return the warm-up of a project's measured processes, in order; ``None`` without any."""
        times_s = [one.times_s for one in self.measured(project)]
        return summarize(times_s) if times_s else None

    def steady_times_s(self, project: str) -> list[float]:
        """Return the steady time of each measured process of a project that has a steady state."""
        found = self.warmup(project)
        return [one.steady_s for one in found.processes if one.steady_s is not None] if found else []


def merge(first: WarmResult, second: WarmResult) -> WarmResult:
    """Return both runs as one; raise ``UsageError`` if they cannot be merged, see ``merge_series``."""
    return merge_series(first, second, "processes")
