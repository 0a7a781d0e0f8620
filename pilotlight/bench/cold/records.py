"""The records that a starting worker's processes write, by the import hook and by ``pilotlight.tracing``.

Each process writes one file, named by its id. Each line is one record of five fields separated by tabs: kind, start and
end in nanoseconds of the monotonic clock, thread, name. The kinds:

- ``python``: from the start of the process to the hook in its interpreter; the name is the parent's id;
- ``import``: the run of a module's code, including the modules that it imports;
- ``predictor``: the same for the file that holds the predictor;
- ``stage``: a stage recorded with ``pilotlight.tracing``, and ``device`` where PyTorch starts CUDA;
- ``open``: an opened file (only if asked for).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight import tracing
from pilotlight.config.variables import STAMPS_FILES, STAMPS_PREDICTOR

__all__ = ["ProcessRecord", "hook_environment", "opened_files", "parse_records", "read_records"]

_HOOK = Path(__file__).with_name("hook")
_KINDS = frozenset({"python", "import", "predictor", "stage", "open"})


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One record; times in nanoseconds of the monotonic clock, which all processes of a machine share."""

    kind: str
    start_ns: int
    end_ns: int
    thread: int
    name: str


def hook_environment(
    folder: Path, predict_file: Path, environ: Mapping[str, str], *, note_files: bool = False
) -> dict[str, str]:
    """Return the variables that make a worker's processes write into ``folder``.

    Args:
        folder: an existing empty folder.
        predict_file: the absolute path of the predictor's source.
        environ: the worker's variables so far; its ``PYTHONPATH`` is kept.
        note_files: whether to record every file that Python code opens, which slows the start.
    """
    paths = [str(_HOOK), *filter(None, [environ.get("PYTHONPATH", "")])]
    variables = {
        "PYTHONPATH": os.pathsep.join(paths),
        tracing.VARIABLE: str(folder),
        STAMPS_PREDICTOR.name: str(predict_file),
    }
    return {**variables, STAMPS_FILES.name: "1"} if note_files else variables


def parse_records(text: str) -> list[ProcessRecord]:
    """Return the records of one file, without incomplete lines (as after a crash)."""
    records = []
    for line in text.split("\n"):
        fields = line.split("\t", 4)
        if len(fields) == 5 and fields[0] in _KINDS and all(number.isdecimal() for number in fields[1:4]):
            records.append(ProcessRecord(fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[4]))
    return records


def read_records(folder: Path) -> dict[int, list[ProcessRecord]]:
    """Return all records by the id of the process that wrote them."""
    return {
        int(path.name): parse_records(path.read_text(encoding="utf-8", errors="replace"))
        for path in sorted(folder.iterdir())
        if path.name.isdecimal()
    }


def opened_files(processes: Mapping[int, Sequence[ProcessRecord]]) -> set[Path]:
    """Return the files of all ``open`` records."""
    return {Path(record.name) for records in processes.values() for record in records if record.kind == "open"}
