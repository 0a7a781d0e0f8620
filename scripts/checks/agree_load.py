#!/usr/bin/env python
"""Does `pilotlight bench load` agree with wrk?  Closed loop, the same server, the same number of connections, in turn.

Starts one real Cog server with a project that does next to nothing, so that the server is the bottleneck, and measures
its throughput with both, several times, in alternating order.  Prints both medians and their ratio.  Exit status 1 when
they differ by more than --within, 2 without wrk (Debian: apt-get install wrk).  Wants a machine with nothing else to
do.

    python scripts/checks/agree_load.py --rounds 5 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pilotlight import PilotlightError
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.bench.load.measure import LoadPlan, measure
from pilotlight.bench.load.results import LoadSettings
from pilotlight.bench.load.steps import closed_steps
from pilotlight.runtime import Project, Worker
from pilotlight.runtime.example_inputs import complete_inputs
from pilotlight.runtime.predictor_schema import PredictorSchema

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "cog" / "projects" / "load_tiny"
LIMIT_S = 60.0
WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = [[{"input":{}}]]
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
    io.write(string.format("counted %d %d %d\\n", summary.requests, summary.errors.status, summary.duration))
end
"""


@dataclass(frozen=True, slots=True)
class Round:
    """Predictions per second that succeeded."""

    wrk: float
    ours: float


async def run_wrk(url: str, script: Path, clients: int, seconds: int) -> float:
    process = await asyncio.create_subprocess_exec(
        *("wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s"),
        *("--script", str(script), f"{url}/predictions"),
        stdout=subprocess.PIPE,
    )
    output = (await process.communicate())[0].decode()
    counted = re.search(r"^counted (\d+) (\d+) (\d+)$", output, re.MULTILINE)
    if process.returncode != 0 or counted is None:
        sys.exit(f"error: wrk failed:\n{output}")
    requests, errors, microseconds = map(int, counted.groups())
    return (requests - errors) / microseconds * 1e6


async def run_ours(url: str, clients: int, seconds: int) -> float:
    settings = LoadSettings(
        url=url,
        mode="plain",
        loop="closed",
        arrivals=None,
        rates=(),
        clients=(clients,),
        trace=None,
        trace_scale=None,
        duration_s=seconds,
        requests=None,
        seed=0,
        queue=False,
        max_in_flight=clients,
        warmup=1,
        timeout_s=LIMIT_S,
        objectives=(),
    )
    steps = closed_steps([clients], duration_s=seconds, requests=None)
    options = StartOptions(Path(sys.executable), {}, LIMIT_S, LIMIT_S)
    plan = LoadPlan(url, options, steps, settings)
    result = await measure(plan, lambda schema: complete_inputs(PredictorSchema.of(schema), {}), save=lambda _: None)
    return result.steps[0].summary.achieved_per_s


async def compare(clients: int, rounds: int, seconds: int) -> list[Round]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(WRK_SCRIPT)
        async with Worker(Project.load(TINY)) as worker:
            await worker.wait_ready(LIMIT_S)
            await run_ours(worker.url, clients, 1)  # neither is the first to meet a cold server
            for number in range(rounds):
                if number % 2:
                    ours = await run_ours(worker.url, clients, seconds)
                    wrk = await run_wrk(worker.url, script, clients, seconds)
                else:
                    wrk = await run_wrk(worker.url, script, clients, seconds)
                    ours = await run_ours(worker.url, clients, seconds)
                found.append(Round(wrk, ours))
                print(f"round {number + 1}: wrk {wrk:.0f}/s, pilotlight {ours:.0f}/s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16, help="connections of both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each run")
    parser.add_argument("--within", type=float, default=0.05, help="how far from 1 the ratio may be")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("there is no wrk; on Debian: apt-get install wrk")
    try:
        rounds = asyncio.run(compare(args.clients, args.rounds, args.seconds))
    except PilotlightError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    wrk, ours = (statistics.median(getattr(one, name) for one in rounds) for name in ("wrk", "ours"))
    agree = abs(ours / wrk - 1) <= args.within
    print(f"medians of {len(rounds)}: wrk {wrk:.0f}/s, pilotlight {ours:.0f}/s, ratio {ours / wrk:.3f}")
    print("they agree" if agree else f"they differ by more than {args.within:.0%}")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
