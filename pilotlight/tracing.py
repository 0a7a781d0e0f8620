"""Records when stages of a cold start begin and end, for ``pilotlight bench cold``, which starts the predictor.

with tracing.stage("weights"):
    model = load(folder)

Without ``PILOTLIGHT_STAMPS`` in the environment nothing is recorded. Otherwise the variable contains a folder, and one
line for each stage is appended to a file there named by the process's id, in the format of ``bench/cold/records.py``:
five fields, separated by tabs. Stage names: ``weights``, ``device``, ``compile``, ``warmup``. Stages may overlap and
may run on any thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["VARIABLE", "stage"]

VARIABLE = "PILOTLIGHT_STAMPS"


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Record the duration of the context as the stage ``name``, also when the context raises."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        yield
        return
    start_ns = time.monotonic_ns()
    try:
        yield
    finally:
        line = f"stage\t{start_ns}\t{time.monotonic_ns()}\t{threading.get_ident()}\t{name}\n"
        with suppress(OSError):  # the folder may have been removed; a prediction must not fail for it
            _append(f"{folder}/{os.getpid()}", line)


def _append(path: str, line: str) -> None:
    """Append a line in a single write, so that lines of several threads never mix."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
