"""Merge several result files of one kind. Each kind has its own ``merge``; this module selects it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pilotlight.bench.cold import results as cold
from pilotlight.bench.harness.documents import read_document
from pilotlight.bench.warm import results as warm
from pilotlight.errors import UsageError

__all__ = ["Mergeable", "merge_files"]

Mergeable = cold.ColdResult | warm.WarmResult
D = TypeVar("D", cold.ColdResult, warm.WarmResult)

_LOAD = "pilotlight-bench-load"


@dataclass(frozen=True, slots=True)
class _Kind(Generic[D]):
    document: type[D]
    merge: Callable[[D, D], D]

    def merge_files(self, paths: Sequence[Path]) -> D:
        first, *others = paths
        merged = read_document(self.document, first)
        for path in others:
            document = read_document(self.document, path)
            try:
                _refuse_repeated(merged, document)
                merged = self.merge(merged, document)
            except UsageError as error:
                raise UsageError(f"{path} and the files before it: {error}") from error
        return merged


_KINDS: dict[object, _Kind[cold.ColdResult] | _Kind[warm.WarmResult]] = {
    "pilotlight-bench-cold": _Kind(cold.ColdResult, cold.merge),
    "pilotlight-bench-warm": _Kind(warm.WarmResult, warm.merge),
}


def merge_files(paths: Sequence[Path]) -> Mergeable:
    """Return the results in one or more files as one result of the same kind.

    Raises:
        UsageError: a file is not a result, the kinds differ or cannot be merged, the results were measured under
            different conditions (the message names the difference), or two files contain the same process.
    """
    formats = {path: _format_of(path) for path in paths}
    first = formats[paths[0]]
    for path, name in formats.items():
        if name == _LOAD:
            raise UsageError(f"{path} is a result of bench load; these cannot be merged: each is its own schedule")
        if name not in _KINDS:
            raise UsageError(
                f"{path} is not a mergeable result: its format is {name!r}; give results of bench cold or warm"
            )
        if name != first:
            raise UsageError(f"{path} is a {name}, {paths[0]} a {first}: give results of one kind")
    return _KINDS[first].merge_files(paths)


def _format_of(path: Path) -> object:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    return found.get("format") if isinstance(found, dict) else None


def _refuse_repeated(first: Mergeable, second: Mergeable) -> None:
    """Refuse a run that is in both results: no two processes have exactly the same times."""
    known = {one.ready_s for one in first.processes} - {None}
    if any(one.ready_s in known for one in second.processes):
        raise UsageError("both contain the same processes; give each run once")
