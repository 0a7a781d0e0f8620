"""The results of ``bench cold`` as a file: raw values of every start, what was measured, and on what. Format 1.

History: 1, the first.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pilotlight.errors import UsageError

__all__ = [
    "ColdResult",
    "Environment",
    "ImportSeconds",
    "Outcome",
    "ProcessResult",
    "ProjectInfo",
    "Settings",
    "Span",
    "StageSeconds",
    "merge",
    "read_result",
    "write_result",
]

Outcome = Literal["succeeded", "setup_failed", "timed_out", "crashed", "prediction_failed"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Environment(_Strict):
    """The machine and the worker's Python.

    Attributes:
        cores: that this process may use.
        governor: of the first core's frequency; ``None`` where there is none to see, as in most virtual machines.
        load_1m: the average number of runnable processes before the first start.
        packages: version by name, of the environment of the worker's Python.
    """

    cpu_model: str
    cores: int
    memory_bytes: int
    governor: str | None
    load_1m: float
    system: str
    kernel: str
    python: str
    packages: dict[str, str]


class Settings(_Strict):
    """What was asked for.

    Attributes:
        runs: measured starts of each project.
        seed: of the order of the starts.
        drop_method: how the page cache was dropped; ``None`` when it was left hot.
    """

    runs: int
    seed: int
    page_cache: Literal["hot", "dropped"]
    drop_method: Literal["drop_caches", "fadvise"] | None
    setup_timeout_s: float
    predict_timeout_s: float


class ProjectInfo(_Strict):
    """What was started.

    Attributes:
        env: the variables given; values that could be secret are left out.
        inputs: of the first prediction; ``None`` when it did not come to that.
        revision: the git commit, with ``-dirty`` when files differ from it; ``None`` outside a repository.
        weights: sha256 by file, by model folder, from the manifests of the folders that the start read.
    """

    name: str
    env: dict[str, str]
    inputs: dict[str, Any] | None
    revision: str | None
    weights: dict[str, dict[str, str]]


class Span(_Strict):
    """A stage as it lay in time, since the spawn."""

    stage: str
    start_s: float
    end_s: float


class StageSeconds(_Strict):
    """A stage in the waterfall: see ``stages.StageTime``."""

    stage: str
    charged_s: float
    overlapped_s: float


class ImportSeconds(_Strict):
    """A package: see ``timeline.ImportTime``."""

    package: str
    self_s: float
    modules: int


class ProcessResult(_Strict):
    """One start. Times are since the spawn.

    Attributes:
        round: from 0; in each round every project starts once.
        measured: ``False`` for the start before all others, which fills caches and shows what a start reads.
        message: what went wrong.
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
    load_1m: float
    steal_share: float | None = None
    evicted_files: int = 0


class ColdResult(_Strict):
    """One run of ``bench cold``; ``finished`` is ``False`` in what a run leaves that was interrupted."""

    format: Literal["pilotlight-bench-cold"] = "pilotlight-bench-cold"
    format_version: Literal[1] = 1
    created_at: datetime
    finished: bool
    settings: Settings
    environment: Environment
    projects: tuple[ProjectInfo, ...]
    processes: tuple[ProcessResult, ...]

    def measured(self, project: str) -> list[ProcessResult]:
        """The measured starts of a project that have succeeded, in order."""
        return [one for one in self.processes if one.project == project and one.measured and one.outcome == "succeeded"]

    def failures(self, project: str) -> list[ProcessResult]:
        """The starts of a project that have not succeeded."""
        return [one for one in self.processes if one.project == project and one.outcome != "succeeded"]


def write_result(result: ColdResult, path: Path) -> None:
    """Replaces ``path`` as a whole: a reader sees the old or the new one, never half.

    Raises:
        UsageError: it cannot be written there.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {os.strerror(error.errno or 0)}; choose another --out") from error


def read_result(path: Path) -> ColdResult:
    """The result in a file.

    Raises:
        UsageError: it cannot be read, or is no result of format 1.
    """
    try:
        return ColdResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(
            f"{path} is no result of `pilotlight bench cold` in format 1: {place}: {first['msg']}"
        ) from error


def merge(first: ColdResult, second: ColdResult) -> ColdResult:
    """Both runs as one: the starts of the second after those of the first. Pure.

    Raises:
        UsageError: they were not measured on the same machine, with the same software and settings, or a project that
            both have is not the same in both.
    """
    volatile = {"load_1m"}
    _require_same("environment", *(one.environment.model_dump(exclude=volatile) for one in (first, second)))
    volatile = {"runs", "seed"}
    _require_same("settings", *(one.settings.model_dump(exclude=volatile) for one in (first, second)))
    known = {info.name: info for info in first.projects}
    for info in second.projects:
        if info.name in known:
            _require_same(f"project {info.name}", known[info.name].model_dump(), info.model_dump())
    later = _renumbered(second.processes, 1 + max((one.round for one in first.processes), default=-1))
    return first.model_copy(
        update={
            "finished": first.finished and second.finished,
            "settings": first.settings.model_copy(update={"runs": first.settings.runs + second.settings.runs}),
            "projects": (*first.projects, *(info for info in second.projects if info.name not in known)),
            "processes": (*first.processes, *later),
        }
    )


def _require_same(where: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    for key in first:
        if first[key] == second[key]:
            continue
        if isinstance(first[key], dict) and isinstance(second[key], dict):
            differ = sorted(
                name for name in first[key].keys() | second[key].keys() if first[key].get(name) != second[key].get(name)
            )
            _refuse(f"{where}, {key}, {differ[0]}", first[key].get(differ[0]), second[key].get(differ[0]))
        _refuse(f"{where}, {key}", first[key], second[key])


def _refuse(where: str, first: object, second: object) -> None:
    raise UsageError(
        f"these results do not merge: {where} is {first!r} in one and {second!r} in the other; "
        "measure both on one machine, in one state"
    )


def _renumbered(processes: Sequence[ProcessResult], start: int) -> list[ProcessResult]:
    return [one.model_copy(update={"round": one.round + start}) for one in processes]
