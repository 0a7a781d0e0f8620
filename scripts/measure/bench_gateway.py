#!/usr/bin/env python
"""What does the gateway cost?  The same predictor through it and on its Cog server directly, in turn.

Starts a real Cog server with a project that does next to nothing, and a gateway (a process of its own) with one such
server as its worker.  For each number of clients, closed loop, over keep-alive connections, in alternating rounds:
the median time of a request and requests per second, of the median round, and the gateway's processor time for each
request.  `direct` is POST /predictions of the Cog server, `plain` is POST /predict of the gateway, `replicate` is POST
/v1/models/.../predictions with `Prefer: wait`.  With --memory N only: what the gateway holds after N predictions.

    python scripts/measure/bench_gateway.py --rounds 3 --seconds 5
    python scripts/measure/bench_gateway.py --memory 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from pilotlight.runtime import Project, Worker

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.measure.gateway_process import PROJECTS, Gateway

TINY = PROJECTS / "load_tiny"
MODEL = "local/load_tiny"
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, and what."""

    name: str
    host: str
    port: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Round:
    """One target under so many clients: median seconds of a request, requests per second, the gateway's CPU seconds."""

    p50_s: float
    rate: float
    cpu_s: float


def target(name: str, url: str, path: str, headers: str = "") -> Target:
    host, _, port = url.removeprefix("http://").partition(":")
    body = b'{"input":{}}'
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return Target(name, host, int(port), head.encode() + body)


async def client(one: Target, *, until_s: float = math.inf, most: float = math.inf) -> list[float]:
    """Sends one request after the other; the seconds of each that succeeded. Raises on any other answer.

    A Cog server frees a slot just after it has answered: a 409 is asked again, and its time counts.
    """
    reader, writer = await asyncio.open_connection(one.host, one.port)
    took = []
    start_s = time.perf_counter()
    while time.monotonic() < until_s and len(took) < most:
        writer.write(one.request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(int(length.partition(b":")[2]))
        if b" 409 " in head.partition(b"\r\n")[0]:
            continue
        took.append(time.perf_counter() - start_s)
        start_s = time.perf_counter()
        if json.loads(body)["status"] != "succeeded":
            raise SystemExit(f"{one.name} answered {head.decode()}{body.decode()}")
    writer.close()
    await writer.wait_closed()
    return took


async def measure(one: Target, clients: int, seconds: float, gateway: psutil.Process) -> Round:
    start_s, cpu_s = time.monotonic(), cpu_of(gateway)
    sent = await asyncio.gather(*(client(one, until_s=start_s + seconds) for _ in range(clients)))
    took = [s for each in sent for s in each]
    return Round(
        statistics.median(took), len(took) / (time.monotonic() - start_s), (cpu_of(gateway) - cpu_s) / len(took)
    )


def cpu_of(process: psutil.Process) -> float:
    """Seconds on a processor so far, without its children."""
    used = process.cpu_times()
    return used.user + used.system


async def compare(targets: list[Target], clients: int, options: argparse.Namespace, gateway: psutil.Process) -> None:
    rounds: dict[str, list[Round]] = {one.name: [] for one in targets}
    for number in range(options.rounds):
        for one in targets if number % 2 == 0 else reversed(targets):
            rounds[one.name].append(await measure(one, clients, options.seconds, gateway))
    direct = rounds["direct"]
    for one in targets:
        p50_s = statistics.median(r.p50_s for r in rounds[one.name])
        rate = statistics.median(r.rate for r in rounds[one.name])
        added_s = p50_s - statistics.median(r.p50_s for r in direct)
        share = rate / statistics.median(r.rate for r in direct)
        cpu_s = statistics.median(r.cpu_s for r in rounds[one.name])
        line = f"{clients:>7}  {one.name:<10}{p50_s * 1e3:>9.2f} ms{added_s * 1e3:>+10.2f} ms{cpu_s * 1e3:>9.2f} ms"
        print(f"{line}{rate:>12.1f}{share:>9.0%}", flush=True)


async def fill(one: Target, predictions: int, gateway: psutil.Process) -> None:
    """The gateway's memory before, during and after so many predictions."""
    print("predictions  resident memory")
    done = 0
    for tenth in range(11):
        print(f"{done:>11}  {gateway.memory_info().rss / 2**20:>11.1f} MiB", flush=True)
        share = predictions * (tenth + 1) // 10 - done
        if tenth < 10:
            await asyncio.gather(*(client(one, most=count) for count in split(share, 16)))
            done += share


def split(count: int, among: int) -> list[int]:
    """As even as can be; nobody gets nothing."""
    shares = [count // among + (number < count % among) for number in range(among)]
    return [share for share in shares if share]


async def run(options: argparse.Namespace) -> None:
    fsync = "--fsync" if options.fsync else "--no-fsync"
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder), [TINY], ("--min-workers", "1", "--max-waiting", "1000", fsync))
        await gateway.start()
        try:
            async with Worker(Project.load(TINY)) as worker:
                await worker.wait_ready(LIMIT_S)
                targets = [
                    target("direct", worker.url, "/predictions"),
                    target("plain", gateway.url, "/predict"),
                    target("replicate", gateway.url, f"/v1/models/{MODEL}/predictions", "Prefer: wait\r\n"),
                ]
                for one in targets:
                    await measure(one, 1, 1.0, gateway.process)  # starts what has to be started
                load = os.getloadavg()[0]
                print(f"{os.cpu_count()} cores, load {load:.1f} before; fsync {'on' if options.fsync else 'off'}")
                if options.memory:
                    await fill(targets[1], options.memory, gateway.process)
                    return
                print("clients  target      p50 each      added         CPU  requests/s    share")
                for clients in options.clients:
                    await compare(targets, clients, options, gateway.process)
        finally:
            await gateway.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="how many at once (1 8 32)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each target (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (3)")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="only show memory while N predictions run")
    parser.add_argument("--fsync", action=argparse.BooleanOptionalAction, default=True, help="as of pilotlight gateway")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
