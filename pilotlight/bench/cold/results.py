"""The results of ``bench cold`` as a file: raw values of every start, what was measured, and on what. Format 2.

History: 1, the first; 2, compile caches, bytecode, the memory limit and GPU memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pilotlight.bench.cold.caches import Presence
from pilotlight.bench.documents import Document, Outcome, Strict, require_same

__all__ = ["ColdResult", "ImportSeconds", "ProcessResult", "Settings", "Span", "StageSeconds", "merge"]


class Settings(Strict):
    """What was asked for.

    Attributes:
        runs: measured starts of each project.
        seed: of the order of the starts.
        drop_method: how the page cache was dropped; ``None`` when it was left hot.
        compile_cache: whether a start finds what compilers have kept (``caches.COMPILE_VARIABLES``).
        bytecode: whether it finds its Python modules compiled.
        memory_limit_bytes: see ``memory.within_memory``.
    """

    runs: int
    seed: int
    page_cache: Literal["hot", "dropped"]
    drop_method: Literal["drop_caches", "fadvise"] | None
    compile_cache: Presence
    bytecode: Presence
    memory_limit_bytes: int
    setup_timeout_s: float
    predict_timeout_s: float


class Span(Strict):
    """A stage as it lay in time, since the spawn."""

    stage: str
    start_s: float
    end_s: float


class StageSeconds(Strict):
    """A stage in the waterfall: see ``stages.StageTime``."""

    stage: str
    charged_s: float
    overlapped_s: float


class ImportSeconds(Strict):
    """A package: see ``timeline.ImportTime``."""

    package: str
    self_s: float
    modules: int


class ProcessResult(Strict):
    """One start. Times are since the spawn.

    Attributes:
        round: from 0; in each round every project starts once.
        measured: ``False`` for the start before all others, which fills caches and shows what a start reads.
        message: what went wrong.
        gpu_peak_bytes: the most GPU memory seen. The start that is not measured is looked at all the time, the others
            once, at their end: a look would cost them time, and what frameworks have taken they keep.
        load_1m: the load when it was started.
        steal_share: the share of the processors' time that the hypervisor gave to others meanwhile.
        evicted_files: how many files were taken out of the page cache before it.
    """

    project: str
    round: int
    measured: bool
    outcome: Outcome
    message: str | None = None
    wall_s: float | None = None
    ready_s: float | None = None
    first_output_s: float | None = None
    stages: tuple[StageSeconds, ...] = ()
    spans: tuple[Span, ...] = ()
    imports: tuple[ImportSeconds, ...] = ()
    read_bytes: int | None = None
    major_faults: int | None = None
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None
    gpu_peak_bytes: int | None = None
    load_1m: float
    steal_share: float | None = None
    evicted_files: int = 0


class ColdResult(Document):
    """One run of ``bench cold``."""

    format: Literal["pilotlight-bench-cold"] = "pilotlight-bench-cold"
    format_version: Literal[2] = 2
    settings: Settings
    processes: tuple[ProcessResult, ...]

    def measured(self, project: str) -> list[ProcessResult]:
        """The measured starts of a project that have succeeded, in order."""
        return [one for one in self.processes if one.project == project and one.measured and one.outcome == "succeeded"]

    def failures(self, project: str) -> list[ProcessResult]:
        """The starts of a project that have not succeeded."""
        return [one for one in self.processes if one.project == project and one.outcome != "succeeded"]


def merge(first: ColdResult, second: ColdResult) -> ColdResult:
    """Both runs as one: the starts of the second after those of the first. Pure.

    Raises:
        UsageError: they were not measured on the same machine, with the same software and settings, or a project that
            both have is not the same in both.
    """
    volatile = {"load_1m"}
    require_same("environment", *(one.environment.model_dump(exclude=volatile) for one in (first, second)))
    volatile = {"runs", "seed"}
    require_same("settings", *(one.settings.model_dump(exclude=volatile) for one in (first, second)))
    known = {info.name: info for info in first.projects}
    for info in second.projects:
        if info.name in known:
            require_same(f"project {info.name}", known[info.name].model_dump(), info.model_dump())
    later = _renumbered(second.processes, 1 + max((one.round for one in first.processes), default=-1))
    return first.model_copy(
        update={
            "finished": first.finished and second.finished,
            "settings": first.settings.model_copy(update={"runs": first.settings.runs + second.settings.runs}),
            "projects": (*first.projects, *(info for info in second.projects if info.name not in known)),
            "processes": (*first.processes, *later),
        }
    )


def _renumbered(processes: Sequence[ProcessResult], start: int) -> list[ProcessResult]:
    return [one.model_copy(update={"round": one.round + start}) for one in processes]
