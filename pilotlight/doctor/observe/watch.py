"""Record what a worker's processes write for doctor: opened files, and times when the event loop was blocked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pilotlight.bench.cold.records import hook_environment, read_records
from pilotlight.config.variables import LOOP
from pilotlight.doctor.observed import OpenedFile
from pilotlight.runtime import Project

__all__ = ["loop_stops", "opened", "watch_environment"]

_HOOK = Path(__file__).with_name("hook")
_NS = 1e-9


def watch_environment(folder: Path, project: Project, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make a worker write into two folders below ``folder``, which exists and is empty.

    Args:
        folder: the parent of ``opened`` and ``loop_stops``.
        project: the project of the worker.
        environ: the worker's variables so far.
    """
    for name in ("files", "loop"):
        (folder / name).mkdir()
    paths = [str(_HOOK), *filter(None, [environ.get("PYTHONPATH", "")])]
    ours = {**environ, "PYTHONPATH": os.pathsep.join(paths)}
    noting = hook_environment(folder / "files", project.predict_file, ours, note_files=True)
    return {**noting, LOOP.name: str(folder / "loop")}


def opened(folder: Path) -> tuple[OpenedFile, ...]:
    """Return the files that Python code of the worker opened, in order."""
    records = (record for process in read_records(folder / "files").values() for record in process)
    found = [OpenedFile(record.start_ns * _NS, Path(record.name)) for record in records if record.kind == "open"]
    return tuple(sorted(found, key=lambda one: one.at_s))


def loop_stops(folder: Path) -> tuple[tuple[float, float], ...] | None:
    """Return when the event loop was blocked, in seconds of the monotonic clock; ``None`` if no loop was watched."""
    files = sorted((folder / "loop").iterdir())
    if not files:
        return None
    lines = [line.split("\t") for file in files for line in file.read_text(encoding="ascii").splitlines()]
    return tuple(sorted((int(line[0]) * _NS, int(line[1]) * _NS) for line in lines if len(line) == 2))
