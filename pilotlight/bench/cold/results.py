"""The result file of ``bench cold``: raw values of every start, the settings, and the environment. Format 2.

History: 1, the first; 2, compile caches, bytecode, the memory limit and GPU memory.
"""

from __future__ import annotations

from typing import Literal

from pilotlight.bench.cold.caches import Presence
from pilotlight.bench.harness.documents import Strict
from pilotlight.bench.harness.series import Series, SeriesProcess, merge_series

__all__ = ["ColdResult", "ColdSettings", "ImportSeconds", "ProcessResult", "Span", "StageSeconds", "merge"]


class ColdSettings(Strict):
    """The settings of the run.

    Attributes:
        runs: the measured starts of each project.
        seed: the seed of the order of the starts.
        drop_method: how the page cache was dropped; ``None`` if it was left hot.
        compile_cache: whether a start finds the compiler caches (``caches.COMPILE_VARIABLES``).
        bytecode: whether a start finds compiled Python modules.
        memory_limit_bytes: the memory limit of a worker; see ``memory.within_memory``.
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
    """A stage with its start and end, in seconds since the spawn."""

    stage: str
    start_s: float
    end_s: float


class StageSeconds(Strict):
    """A stage in the waterfall; see ``stages.StageTime``."""

    stage: str
    charged_s: float
    overlapped_s: float


class ImportSeconds(Strict):
    """A package; see ``timeline.ImportTime``."""

    package: str
    self_s: float
    modules: int


class ProcessResult(SeriesProcess):
    """One start. Times are since the spawn.

    Attributes:
        gpu_peak_bytes: the most GPU memory seen. It is watched throughout the unmeasured start, but read only once at
            the end of a measured one, since reading takes time; frameworks keep the memory that they take.
        evicted_files: the number of files dropped from the page cache before the start.
    """

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
    evicted_files: int = 0


class ColdResult(Series[ProcessResult]):
    """One run of ``bench cold``."""

    format: Literal["pilotlight-bench-cold"] = "pilotlight-bench-cold"
    format_version: Literal[2] = 2
    settings: ColdSettings


def merge(first: ColdResult, second: ColdResult) -> ColdResult:
    """Return both runs as one; raise ``UsageError`` if they cannot be merged, see ``merge_series``."""
    return merge_series(first, second, "runs")
