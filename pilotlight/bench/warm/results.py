"""The results of ``bench warm`` as a file: the time of every prediction of every process. Format 1.

History: 1, the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pilotlight.bench.documents import Document, Outcome, Strict, require_same
from pilotlight.bench.warmup import Warmup, summarize

__all__ = ["WarmProcess", "WarmResult", "WarmSettings", "merge"]


class WarmSettings(Strict):
    """What was asked for.

    Attributes:
        processes: measured processes of each project.
        iterations: predictions in each process, one after the other.
        pause_s: between the end of a prediction and the request for the next; in none of the times.
        seed: of the order of the processes.
    """

    processes: int
    iterations: int
    pause_s: float
    seed: int
    setup_timeout_s: float
    predict_timeout_s: float


class WarmProcess(Strict):
    """One worker, which ran the same prediction again and again.

    Attributes:
        round: from 0; in each round every project starts once.
        measured: ``False`` for the start before all others, which fills caches and shows what a start reads; it has
            no times.
        message: what went wrong.
        ready_s: from the spawn to the health check that said it is ready; ``None`` when it did not come to that.
        times_s: of the predictions in their order, from the request to the end of the answer; fewer than asked for
            when one of them failed or the run was interrupted.
        load_1m: the load when it was started.
        steal_share: the share of the processors' time that the hypervisor gave to others meanwhile.
    """

    project: str
    round: int
    measured: bool
    outcome: Outcome
    message: str | None = None
    ready_s: float | None = None
    times_s: tuple[float, ...] = ()
    load_1m: float
    steal_share: float | None = None


class WarmResult(Document):
    """One run of ``bench warm``."""

    format: Literal["pilotlight-bench-warm"] = "pilotlight-bench-warm"
    format_version: Literal[1] = 1
    settings: WarmSettings
    processes: tuple[WarmProcess, ...]

    def measured(self, project: str) -> list[WarmProcess]:
        """The measured processes of a project whose predictions have all succeeded, in order."""
        return [one for one in self.processes if one.project == project and one.measured and one.outcome == "succeeded"]

    def failures(self, project: str) -> list[WarmProcess]:
        """The processes of a project that have not succeeded."""
        return [one for one in self.processes if one.project == project and one.outcome != "succeeded"]

    def warmup(self, project: str) -> Warmup | None:
        """What the times of a project's measured processes show, in their order; ``None`` without any."""
        times_s = [one.times_s for one in self.measured(project)]
        return summarize(times_s) if times_s else None

    def steady_times_s(self, project: str) -> list[float]:
        """One time per measured process of a project: its steady one; none for a process that never settles."""
        found = self.warmup(project)
        return [one.steady_s for one in found.processes if one.steady_s is not None] if found else []


def merge(first: WarmResult, second: WarmResult) -> WarmResult:
    """Both runs as one: the processes of the second after those of the first. Pure.

    Raises:
        UsageError: they were not measured on the same machine, with the same software and settings, or a project that
            both have is not the same in both.
    """
    volatile = {"load_1m"}
    require_same("environment", *(one.environment.model_dump(exclude=volatile) for one in (first, second)))
    volatile = {"processes", "seed"}
    require_same("settings", *(one.settings.model_dump(exclude=volatile) for one in (first, second)))
    known = {info.name: info for info in first.projects}
    for info in second.projects:
        if info.name in known:
            require_same(f"project {info.name}", known[info.name].model_dump(), info.model_dump())
    processes = first.settings.processes + second.settings.processes
    later = _renumbered(second.processes, 1 + max((one.round for one in first.processes), default=-1))
    return first.model_copy(
        update={
            "finished": first.finished and second.finished,
            "settings": first.settings.model_copy(update={"processes": processes}),
            "projects": (*first.projects, *(info for info in second.projects if info.name not in known)),
            "processes": (*first.processes, *later),
        }
    )


def _renumbered(processes: Sequence[WarmProcess], start: int) -> list[WarmProcess]:
    return [one.model_copy(update={"round": one.round + start}) for one in processes]
