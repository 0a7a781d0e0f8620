"""Read the files of a report, each recognized by its ``format`` field."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pilotlight.bench.calibrate.measure import Calibration
from pilotlight.bench.calibrate.results import CalibrationFile
from pilotlight.bench.cold.results import ColdResult
from pilotlight.bench.harness.documents import Document, read_document
from pilotlight.bench.load.results import LoadResult
from pilotlight.bench.merging import merge_files
from pilotlight.bench.warm.results import WarmResult
from pilotlight.errors import UsageError

__all__ = ["ReportSources", "read_sources"]

_COLD, _WARM, _LOAD, _CALIBRATION = _FORMATS = tuple(
    kind.model_fields["format"].default for kind in (ColdResult, WarmResult, LoadResult, CalibrationFile)
)
_MODES = {"plain": "one answer", "stream": "streamed", "async": "webhook"}


@dataclass(frozen=True, slots=True)
class ReportSources:
    """All results to report.

    Attributes:
        cold: all cold starts as one run.
        warm: all warm-ups as one run.
        loads: the loads by name, which is the project's name if that is unique.
    """

    cold: ColdResult | None
    warm: WarmResult | None
    loads: dict[str, LoadResult]
    calibration: Calibration | None

    @property
    def documents(self) -> list[tuple[str, Document]]:
        """Every result with its title, in the order of the report."""
        found: list[tuple[str, Document | None]] = [("Cold start", self.cold), ("Warm-up", self.warm)]
        found += [(f"Load: {name}", load) for name, load in self.loads.items()]
        return [(name, document) for name, document in found if document is not None]

    @property
    def projects(self) -> list[str]:
        """The names of the projects, each once."""
        return list(dict.fromkeys(info.name for _, document in self.documents for info in document.projects))


def read_sources(paths: Sequence[Path]) -> ReportSources:
    """Read the files; several results of cold starts, or of warm-ups, are merged.

    Raises:
        UsageError: a file cannot be read or is not a result, results cannot be merged, or there is nothing to report.
    """
    by_format: dict[str, list[Path]] = {name: [] for name in _FORMATS}
    for path in paths:
        by_format[_format_of(path)].append(path)
    cold = merge_files(by_format[_COLD]) if by_format[_COLD] else None
    warm = merge_files(by_format[_WARM]) if by_format[_WARM] else None
    loads = _named([read_document(LoadResult, path) for path in by_format[_LOAD]])
    if not (cold or warm or loads):
        raise UsageError("that is only a calibration: give results of bench cold, warm or load as well")
    return ReportSources(
        cold=cold if isinstance(cold, ColdResult) else None,
        warm=warm if isinstance(warm, WarmResult) else None,
        loads=loads,
        calibration=_calibration(by_format[_CALIBRATION]),
    )


def _format_of(path: Path) -> str:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not a result: it is not JSON ({error})") from error
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, str) or found not in _FORMATS:
        raise UsageError(f"{path} is not a result: its format is {found!r}, not one of {', '.join(_FORMATS)}")
    return found


def _calibration(paths: Sequence[Path]) -> Calibration | None:
    if len(paths) > 1:
        names = " and ".join(map(str, paths))
        raise UsageError(f"{names} are calibrations, but a report has only one: give that of the measuring machine")
    for path in paths:
        try:
            return CalibrationFile.model_validate_json(path.read_bytes()).calibration()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise UsageError(f"{path} is not a {_CALIBRATION} of version 1: {place}: {first['msg']}") from error
    return None


def _named(loads: Sequence[LoadResult]) -> dict[str, LoadResult]:
    """Name each load after its project; if several have the same name, add their differences, and then a number."""
    names = [" and ".join(info.name for info in load.projects) or "server" for load in loads]
    named: dict[str, LoadResult] = {}
    for name, load in zip(names, loads, strict=True):
        same = [other.settings for other, of in zip(loads, names, strict=True) if of == name]
        own = []
        if len({settings.loop for settings in same}) > 1:
            own.append(f"{load.settings.loop} loop")
        if len({settings.mode for settings in same}) > 1:
            own.append(_MODES[load.settings.mode])
        full = f"{name} ({', '.join(own)})" if own else name
        numbered = (full, *(f"{full}, run {number}" for number in range(2, len(loads) + 1)))
        named[next(one for one in numbered if one not in named)] = load
    return named
