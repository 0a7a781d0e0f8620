#!/usr/bin/env python
"""Check our cold start times against hyperfine, which drives the same start; exit status 1 when they disagree.

    export PILOTLIGHT_MODEL=$PWD/weights/pylight-5m
    python scripts/checks/agree_cold.py scripts/baselines/plain --input '{"prompt": "def main(args):", "max_tokens": 8}'

In turn: a start as `pilotlight bench cold` measures it, and one that hyperfine times from outside
(scripts/checks/cold_driver.py, which shares no code with us).  Hyperfine also times the driver without a server, and
that is taken off.  Ours is observed, hyperfine's is not: what observation adds is part of what is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pilotlight import PilotlightError
from pilotlight.bench.cold.observe import observe
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.runtime import Project

DRIVER = Path(__file__).resolve().with_name("cold_driver.py")
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cold starts of one project, measured twice; seconds.

    Attributes:
        ours_s: as we measure them.
        theirs_s: the driver's whole command, as hyperfine measures it.
        nothing_s: the driver's command without a server.
    """

    ours_s: Sequence[float]
    theirs_s: Sequence[float]
    nothing_s: Sequence[float]

    @property
    def theirs(self) -> float:
        return median(self.theirs_s) - median(self.nothing_s)

    @property
    def ratio(self) -> float:
        """Our median over theirs."""
        return median(self.ours_s) / self.theirs

    def within(self, tolerance: float) -> bool:
        return abs(self.ratio - 1) <= tolerance

    def __str__(self) -> str:
        return (
            f"pilotlight {median(self.ours_s):.3f} s, hyperfine {self.theirs:.3f} s "
            f"(without {median(self.nothing_s):.3f} s of its driver), ratio {self.ratio:.4f}, "
            f"medians of {len(self.ours_s)} each"
        )


def hyperfine(commands: Sequence[Sequence[str]], *, cwd: Path, env: Mapping[str, str]) -> list[float]:
    """Seconds that hyperfine measures for one run of each command, without a shell around them."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        lines = [" ".join(map(_quoted, command)) for command in commands]
        program = ["hyperfine", "--shell=none", "--runs=1", "--show-output", f"--export-json={result}", *lines]
        done = subprocess.run(program, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
        if done.returncode:
            raise PilotlightError(f"hyperfine failed: {done.stderr.strip()}")
        return [one["times"][0] for one in json.loads(result.read_text())["results"]]


def _quoted(word: str) -> str:
    """As hyperfine splits a command into words: like a shell, in single quotes."""
    return "'" + word.replace("'", "'\\''") + "'"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_variables(project: Project, options: StartOptions) -> dict[str, str]:
    """What a Cog server is started with here; as ours is."""
    path = os.pathsep.join([str(options.python.absolute().parent), os.environ.get("PATH", os.defpath)])
    given = {**os.environ, "COG_LOG_LEVEL": "warn", **project.server_environment(), **options.env}
    return {**given, "LOG_FORMAT": "json", "PATH": path, "PORT": str(free_port())}


async def measure(project: Project, inputs: dict[str, Any], options: StartOptions, runs: int) -> Agreement:
    """Rounds of one start each way, the order reversed in every other; before them one of each that does not count."""
    driver = [str(options.python.absolute()), "-I", "-S", str(DRIVER)]
    commands = [[*driver, "--input", json.dumps(inputs)], [*driver, "--nothing"]]
    ours_s, theirs_s, nothing_s = [], [], []

    async def ours() -> None:
        ours_s.append((await observe(project, inputs, options)).wall_s)

    async def theirs() -> None:
        env = server_variables(project, options)
        start_s, empty_s = await asyncio.to_thread(hyperfine, commands, cwd=project.root, env=env)
        theirs_s.append(start_s)
        nothing_s.append(empty_s)

    for number in range(runs + 1):
        for one in (theirs, ours) if number % 2 else (ours, theirs):
            await one()
        which = f"round {number} of {runs}" if number else "not counted"
        print(f"{which}: {ours_s[-1]:.3f} s, {theirs_s[-1] - nothing_s[-1]:.3f} s", file=sys.stderr)
    return Agreement(ours_s[1:], theirs_s[1:], nothing_s[1:])


def variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: give it as NAME=VALUE")
    return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="a folder with cog.yaml")
    parser.add_argument("--input", type=json.loads, default={}, help="of the prediction, as JSON")
    parser.add_argument("-e", "--env", type=variable, action="append", default=[], help="NAME=VALUE, for the predictor")
    parser.add_argument("-n", "--runs", type=int, default=10, help="starts each way (default: 10)")
    parser.add_argument("--tolerance", type=float, default=0.03, help="how far the ratio may be from 1 (default: 0.03)")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error(f"--runs {args.runs}: give 1 at least")
    if shutil.which("hyperfine") is None:
        parser.error("there is no hyperfine on PATH; install it, with `apt-get install hyperfine` for example")
    options = StartOptions(Path(sys.executable), dict(args.env), LIMIT_S, LIMIT_S)
    try:
        found = asyncio.run(measure(Project.load(args.project), args.input, options, args.runs))
    except PilotlightError as error:
        sys.exit(f"{error}\n{getattr(error, 'logs', '')}".strip())
    print(found)
    sys.exit(not found.within(args.tolerance))


if __name__ == "__main__":
    main()
