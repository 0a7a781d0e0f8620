#!/usr/bin/env python
"""What does the client cost?  The same predictor through `pilotlight.client` and through plain httpx2, in turn.

Starts a real Cog server and a gateway with a project that does next to nothing. One caller, one prediction after the
other, in alternating rounds; what is shown is the p50 of a prediction, of the median round. `httpx2` is one POST over a
kept connection, which knows no deadline, no cancel and no stream. Then what the gateway adds to the first chunk of a
stream.

With `--memory` instead: many predictions through the gateway, eight at once, and by how much the memory of the process
that sends them has grown. The first tenth does not count: it fills what is kept for good, such as connections. 100,000
take a quarter of an hour on two cores.

    python scripts/measure/bench_client.py --rounds 5 --predictions 300
    python scripts/measure/bench_client.py --memory 100000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx2
import psutil

from pilotlight.client import AsyncClient
from pilotlight.runtime import Project, Worker

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "cog" / "projects" / "load_tiny"
STREAMS = ROOT / "tests" / "cog" / "projects" / "load_streams"
READY_S = 120.0
LEAST_CALLS = 100


@contextlib.asynccontextmanager
async def gateway(project: Path = TINY) -> AsyncIterator[str]:
    """The URL of a gateway in a process of its own, with a worker that is up."""
    with tempfile.TemporaryDirectory() as home:
        code = "from pilotlight.cli import main; main()"
        args = ["gateway", str(project), "--home", home, "--port", "0", "--min-workers", "1", "--no-fsync"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *args, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            while not (match := re.match(rb"Listening at (\S+)", await process.stderr.readline())):
                pass
            draining = asyncio.create_task(process.stderr.read())
            yield match[1].decode()
        finally:
            process.terminate()
            await process.wait()
            await draining


async def median_s(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Seconds of a call, the median of so many."""
    took = []
    for _ in range(times):
        start_s = time.perf_counter()
        await call()
        took.append(time.perf_counter() - start_s)
    return statistics.median(took)


async def compare(
    client: AsyncClient, url: str, path: str, headers: dict[str, str], rounds: int, times: int
) -> dict[str, float]:
    """Medians through the client and without it, and their ratio."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as plain:

        async def post() -> None:
            while True:
                answer = await plain.post(f"{url}{path}", json={"input": {"number": 1}}, headers=headers)
                if answer.status_code != httpx2.codes.CONFLICT:  # a Cog server frees a slot just after it answers
                    break
            assert answer.json()["status"] == "succeeded", answer.text

        async def run() -> None:
            await client.run({"number": 1})

        await median_s(run, 20)
        await median_s(post, 20)
        found = [(await median_s(post, times), await median_s(run, times)) for _ in range(rounds)]
    plain_s, ours_s = (statistics.median(column) for column in zip(*found, strict=True))
    return {"plain_p50_s": plain_s, "client_p50_s": ours_s, "added_s": ours_s - plain_s, "ratio": ours_s / plain_s}


async def first_chunk(rounds: int, times: int) -> dict[str, float]:
    """What the gateway adds to the first chunk of a stream: medians through it, and on the Cog server directly."""
    inputs = {"words": 3, "pause_s": 0.0}
    async with gateway(STREAMS) as url, Worker(Project.load(STREAMS)) as worker:
        await worker.wait_ready(READY_S)
        async with AsyncClient(f"gateway:{url}") as through, AsyncClient(f"cog:{worker.url}") as direct:

            async def first(client: AsyncClient) -> float:
                start_s = time.perf_counter()
                took_s = 0.0
                async for _ in client.stream(inputs):
                    took_s = took_s or time.perf_counter() - start_s
                return took_s

            for client in (through, direct):
                await first(client)
            found = [
                [statistics.median([await first(client) for _ in range(times)]) for client in (direct, through)]
                for _ in range(rounds)
            ]
    direct_s, through_s = (statistics.median(column) for column in zip(*found, strict=True))
    return {"direct_p50_s": direct_s, "gateway_p50_s": through_s, "added_s": through_s - direct_s}


async def memory(client: AsyncClient, count: int) -> dict[str, float]:
    """Bytes that the process has grown by, from a tenth of the predictions on to their end."""
    process = psutil.Process()
    before = 0
    done = 0
    async for _ in client.map(({"number": number} for number in range(count)), concurrency=8):
        done += 1
        if done == count // 10:
            before = process.memory_info().rss
        if done % 1000 == 0 and sys.stderr.isatty():
            print(f"\r{done:,} of {count:,}", end="", file=sys.stderr)
    return {"predictions": count, "grown_bytes": process.memory_info().rss - before}


async def measure(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    results = {}
    async with gateway() as url, AsyncClient(f"gateway:{url}") as client:
        if args.memory is not None:
            return {"memory": await memory(client, args.memory)}
        wait = {"Prefer": "wait"}
        path = "/v1/models/local/load_tiny/predictions"
        results["gateway"] = await compare(client, url, path, wait, args.rounds, args.predictions)
    async with Worker(Project.load(TINY)) as worker:
        await worker.wait_ready(READY_S)
        async with AsyncClient(f"cog:{worker.url}") as client:
            results["cog"] = await compare(client, worker.url, "/predictions", {}, args.rounds, args.predictions)
    results["first chunk"] = await first_chunk(args.rounds, args.predictions // 4)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--predictions", type=int, default=300, help="in each round and way (default 300)")
    parser.add_argument(
        "--memory",
        type=int,
        nargs="?",
        const=100_000,
        metavar="PREDICTIONS",
        help="instead: what memory so many predictions leave (100,000 where no number is given; at least 100)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.memory is not None and args.memory < LEAST_CALLS:
        parser.error(f"--memory {args.memory}: fewer than {LEAST_CALLS} say nothing about memory")
    results = asyncio.run(measure(args))
    if args.json:
        print(json.dumps(results, indent=1))
        return
    for name, one in results.items():
        if name == "memory":
            print(
                f"{one['predictions']:,} predictions: grown by {one['grown_bytes'] / 1e6:.1f} MB after the first tenth"
            )
        elif name == "first chunk":
            print(
                f"{name} p50: Cog server {one['direct_p50_s'] * 1e3:.2f} ms, "
                f"gateway {one['gateway_p50_s'] * 1e3:.2f} ms, {one['added_s'] * 1e3:+.2f} ms"
            )
        else:
            print(
                f"{name:8} p50: httpx2 {one['plain_p50_s'] * 1e3:.2f} ms, client {one['client_p50_s'] * 1e3:.2f} ms, "
                f"{one['added_s'] * 1e3:+.2f} ms, ratio {one['ratio']:.2f}"
            )


if __name__ == "__main__":
    main()
