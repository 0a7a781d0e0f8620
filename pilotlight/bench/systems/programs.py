"""Programs without a server, as systems under test: a lower bound of a start, and a runtime's concurrent throughput.

Such a program prints one line of JSON for each result, and shares no code with pilotlight. A lower-bound program prints
``{"stages": [[name, start, end], ...], "first_output": time}``, in seconds of the monotonic clock; a concurrent program
prints ``{"streams": n, "window_s": s, "requests": n, "tokens_per_s": x, "first_output_s": [s, ...]}`` for each level.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.records import hook_environment, opened_files, read_records
from pilotlight.bench.cold.stages import Interval, union
from pilotlight.bench.systems.system_under_test import Began, Level, Load, stage_seconds
from pilotlight.errors import WorkerCrashedError, WorkerError, WorkerTimeoutError
from pilotlight.runtime.server.process import ProcessGroup

__all__ = ["ConcurrentProgram", "LowerBoundProgram"]


@dataclass(frozen=True, slots=True)
class LowerBoundProgram:
    """A program that starts, computes one output, prints its times, and ends.

    Attributes:
        argv: the command.
        command: a description of the command.
        files: the files that it reads in addition to those that Python opens.
    """

    name: str
    argv: Sequence[str]
    command: str
    timeout_s: float
    env: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[Path] = frozenset()
    starts: bool = True
    streams: bool = False

    async def start(self, *, note_files: bool) -> Began:
        with tempfile.TemporaryDirectory(prefix="pilotlight-") as name:
            folder = Path(name)
            environ = {**os.environ, **self.env}
            noted = hook_environment(folder, Path(__file__), environ, note_files=True) if note_files else {}
            said = await _run(self.name, self.argv, {**environ, **noted}, self.timeout_s)
            opened = opened_files(read_records(folder))
        (line,) = said.lines
        first_output_s = line["first_output"] - said.spawned_s
        stages = [Interval(stage, start - said.spawned_s, end - said.spawned_s) for stage, start, end in line["stages"]]
        # The time before its first line is that of the shell that starts it, and of the interpreter.
        begun = Interval("interpreter", 0.0, min(one.start_s for one in stages))
        return Began(
            ready_s=None,
            first_output_s=first_output_s,
            wall_s=first_output_s,
            stages=stage_seconds(union([begun, *stages]), first_output_s),
            files=self.files | opened if note_files else frozenset(),
        )

    async def stream(self, load: Load) -> list[Level]:
        raise WorkerError(f"{self.name} has no streams: this is a bug")


@dataclass(frozen=True, slots=True)
class ConcurrentProgram:
    """A program that contains both the clients and the engine in one process.

    Attributes:
        argv: the command; the load is appended as options.
        command: a description of the command.
    """

    name: str
    argv: Sequence[str]
    command: str
    timeout_s: float
    env: Mapping[str, str] = field(default_factory=dict)
    starts: bool = False
    streams: bool = True

    async def start(self, *, note_files: bool) -> Began:
        raise WorkerError(f"{self.name} has no start: this is a bug")

    async def stream(self, load: Load) -> list[Level]:
        asked = ["--streams", ",".join(map(str, load.streams)), "--duration", str(load.duration_s)]
        asked += ["--prompt", load.prompt, "--tokens", str(load.tokens)]
        said = await _run(self.name, [*self.argv, *asked], {**os.environ, **self.env}, self.timeout_s)
        return [
            Level(
                streams=int(line["streams"]),
                window_s=float(line["window_s"]),
                requests=int(line["requests"]),
                tokens_per_s=float(line["tokens_per_s"]),
                first_output_s=tuple(float(time) for time in line["first_output_s"]),
            )
            for line in said.lines
        ]


@dataclass(frozen=True, slots=True)
class _Said:
    spawned_s: float
    lines: list[dict[str, Any]]


async def _run(name: str, argv: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> _Said:
    """Run a program to its end; return the lines of JSON that it printed.

    Raises:
        WorkerError: the program failed, or printed nothing.
    """
    lines: list[str] = []
    process = await ProcessGroup.start(argv, cwd=Path.cwd(), env=environ, on_line=lines.append)
    try:
        ended = await process.wait(timeout_s)
    finally:
        await process.stop(0)
    logs = "\n".join(lines)
    if not ended:
        raise WorkerTimeoutError(f"{name} did not end within {timeout_s:g} s", logs=logs)
    found = [json.loads(line) for line in lines if line.startswith("{")]
    if process.returncode != 0 or not found:
        raise WorkerCrashedError(f"{name} ended with status {process.returncode}", logs=logs)
    return _Said(process.spawned_at_s, found)
