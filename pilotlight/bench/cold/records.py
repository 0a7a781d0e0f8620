"""Records that the processes of a starting worker write: by the import hook and by ``pilotlight.tracing``.

One file for each process, named by its id; one line for each record, five fields separated by tabs: ``kind``, start and
end in nanoseconds of the monotonic clock, the thread, a name. Kinds:

- ``python``: from the start of the process to the hook in its interpreter; the name is the parent's id;
- ``import``: a module's code ran (those that it imports included);
- ``predictor``: the same, for the file that holds the predictor;
- ``stage``: what ``pilotlight.tracing`` was told, and ``device`` where PyTorch starts CUDA;
- ``open``: a file was opened (only where asked for).
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
    """One line; times in nanoseconds of the monotonic clock, which all processes of a machine share."""

    kind: str
    start_ns: int
    end_ns: int
    thread: int
    name: str


def hook_environment(
    folder: Path, predict_file: Path, environ: Mapping[str, str], *, note_files: bool = False
) -> dict[str, str]:
    """The variables that make a worker's processes write into ``folder``.

    Args:
        folder: exists and is empty.
        predict_file: the predictor's source, absolute.
        environ: the worker's variables so far; its ``PYTHONPATH`` keeps its meaning.
        note_files: also record every file that Python code opens, which slows the start.
    """
    paths = [str(_HOOK), *filter(None, [environ.get("PYTHONPATH", "")])]
    variables = {
        "PYTHONPATH": os.pathsep.join(paths),
        tracing.VARIABLE: str(folder),
        STAMPS_PREDICTOR.name: str(predict_file),
    }
    return {**variables, STAMPS_FILES.name: "1"} if note_files else variables


def parse_records(text: str) -> list[ProcessRecord]:
    """The records in one file. What is cut short, as by a crash in mid-line, is left out."""
    records = []
    for line in text.split("\n"):
        fields = line.split("\t", 4)
        if len(fields) == 5 and fields[0] in _KINDS and all(number.isdecimal() for number in fields[1:4]):
            records.append(ProcessRecord(fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[4]))
    return records


def read_records(folder: Path) -> dict[int, list[ProcessRecord]]:
    """All records by the id of the process that wrote them."""
    return {
        int(path.name): parse_records(path.read_text(encoding="utf-8", errors="replace"))
        for path in sorted(folder.iterdir())
        if path.name.isdecimal()
    }


def opened_files(processes: Mapping[int, Sequence[ProcessRecord]]) -> set[Path]:
    """The files of all ``open`` records."""
    return {Path(record.name) for records in processes.values() for record in records if record.kind == "open"}
