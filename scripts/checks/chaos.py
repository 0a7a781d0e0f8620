#!/usr/bin/env python
"""Does the gateway keep its promises while everything around it dies?

Runs predictions through a real `pilotlight gateway` with real Cog servers.  Meanwhile workers are killed with SIGKILL,
the gateway is killed with SIGKILL and started again, callers vanish in the middle of a request, others cancel, and
webhook receivers fail.  In the end: every accepted prediction has reached one terminal state and never another, every
webhook has arrived, every slot still serves, nothing runs that should not, and no file is left open or lying about.

    python scripts/checks/chaos.py --predictions 1000 --seed 7 --json chaos.json

Exits with 1 and says what was violated.  What dies when is drawn from the seed; what that hits is up to the system.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.checks.callers import TERMINAL, Caller, Ledger, receiver
from scripts.measure.gateway_process import PROJECTS, Gateway

MODELS = ("run_text", "load_tiny")
WORKERS = 2
OPTIONS = ("--max-workers", str(WORKERS), "--max-waiting", "200", "--idle-timeout", "3", "--allow-private-urls")
SETTLE_S = 180.0
GONE_S = 30.0


class Storm:
    """Everything that happens to one gateway, and the checks after it."""

    def __init__(self, gateway: Gateway, ledger: Ledger, options: argparse.Namespace) -> None:
        self.gateway, self.ledger, self.options = gateway, ledger, options
        self.chance = random.Random(options.seed)
        self.sent = 0
        # After how many predictions what dies: by time, a slow machine would see nothing but restarts.
        step = 2 * options.kill_every
        self.worker_dies = set(itertools.accumulate(self.chance.randint(1, step) for _ in range(options.predictions)))
        shares = options.gateway_kills + 1
        self.gateway_dies = {number * options.predictions // shares for number in range(1, shares)}

    async def rage(self, hook: str) -> None:
        """Sends all predictions while things die."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.options.clients):
                caller = Caller(self.gateway.url, self.ledger, random.Random(self.chance.random()), hook)
                group.create_task(self._call(caller, group))

    async def check(self) -> None:
        """Waits for calm, and notes every promise that was not kept."""
        async with httpx2.AsyncClient(base_url=self.gateway.url, trust_env=False, timeout=SETTLE_S) as http:
            await self._check_predictions(http)
            await self._check_slots(http)
            await self._check_webhooks()
        await self._until("all workers are idle", self._idle)
        open_files = Counter(_descriptors(self.gateway.process))
        await self._stop()
        await self.gateway.start()
        async with httpx2.AsyncClient(base_url=self.gateway.url, trust_env=False, timeout=SETTLE_S) as http:
            await self._check_slots(http)
        await self._until("all workers are idle", self._idle)
        leaked = open_files - Counter(_descriptors(self.gateway.process))
        self._expect(not leaked, f"open files that a fresh gateway does not have: {dict(leaked)}")
        await self._stop()
        lying = [path.name for path in self.gateway.temporary.iterdir()]
        self._expect(not lying, f"{len(lying)} temporary files are left, such as {lying[:3]}")

    async def _call(self, caller: Caller, group: asyncio.TaskGroup) -> None:
        try:
            while self.sent < self.options.predictions:
                self.sent += 1
                if self.sent in self.worker_dies:
                    self._kill_worker()
                if self.sent in self.gateway_dies:
                    group.create_task(self._kill_gateway())
                print(f"\r{self.sent}/{self.options.predictions} sent", end="", file=sys.stderr, flush=True)
                await caller.call()
        finally:
            await caller.http.aclose()

    def _kill_worker(self) -> None:
        """Either half of a Cog server: the one that answers, or the one that predicts."""
        if workers := self.gateway.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                self.chance.choice(workers).kill()
                self.ledger.events["worker process killed"] += 1

    async def _kill_gateway(self) -> None:
        await self.gateway.end(signal.SIGKILL)
        self.ledger.events["gateway killed"] += 1
        left = await self.gateway.left(GONE_S)
        self._expect(not left, f"{len(left)} workers have outlived a gateway that was killed")
        await self.gateway.start()

    async def _check_predictions(self, http: httpx2.AsyncClient) -> None:
        found: dict[str, dict[str, Any]] = {}

        async def all_ended() -> bool:
            found.clear()
            found.update(await _all_predictions(http, self.ledger))
            return all(one["status"] in TERMINAL for one in found.values())

        await self._until("every prediction has ended", all_ended)
        for number, one in found.items():
            self._expect(one["status"] in TERMINAL, f"prediction {number} is still {one['status']}")
        lost = self.ledger.accepted.keys() - found.keys()
        self._expect(not lost, f"{len(lost)} accepted predictions are not there any more, such as {sorted(lost)[:3]}")
        changed = {number: sorted(states) for number, states in self.ledger.ended.items() if len(states) > 1}
        self._expect(not changed, f"predictions with more than one end: {changed}")
        self.ledger.events.update(f"ended as {one['status']}" for one in found.values())
        self.ledger.events["accepted without an answer to the caller"] = len(found) - len(self.ledger.accepted)

    async def _check_slots(self, http: httpx2.AsyncClient) -> None:
        """As many predictions at once as there are slots: each has to succeed on its own."""

        async def serves(model: str) -> bool:
            body = {"input": {"number": 1} if model == "load_tiny" else {"prompt": "a", "count": 3, "pause_s": 0.2}}
            answer = await http.post(f"/v1/models/local/{model}/predictions", json=body, headers={"Prefer": "wait"})
            return answer.status_code == 201 and answer.json()["status"] == "succeeded"

        async def all_serve() -> bool:
            return all(await asyncio.gather(*(serves(model) for model in MODELS for _ in range(WORKERS))))

        # A version whose workers were killed while they started may be held back for a minute.
        await self._until("every slot serves", all_serve)
        metrics = (await http.get("/metrics")).text
        lines = [line for line in metrics.splitlines() if line.startswith("vllm:num_requests_")]
        busy = [line for line in lines if float(line.rpartition(" ")[2])]
        self._expect(not busy, f"slots or places are taken by nobody: {busy}")

    async def _check_webhooks(self) -> None:
        async def all_told() -> bool:
            return self.ledger.hooked <= self.ledger.hooks.keys()

        await self._until("every webhook has arrived", all_told)

    async def _idle(self) -> bool:
        return not self.gateway.workers()

    async def _stop(self) -> None:
        status = await self.gateway.end()
        self._expect(status == 0, f"the gateway ended with status {status}")
        left = await self.gateway.left(GONE_S)
        self._expect(not left, f"processes have outlived the gateway: {left}")

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Asks until it holds; a violation if it never does."""
        print(f"\nwaiting until {what}", end="", file=sys.stderr, flush=True)
        end_s = time.monotonic() + SETTLE_S
        while not (held := await holds()) and time.monotonic() < end_s:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.1)
        self._expect(held, f"within {SETTLE_S:g} s it was not so that {what}")

    def _expect(self, kept: bool, otherwise: str) -> None:
        if not kept:
            self.ledger.violations.append(otherwise)


async def _all_predictions(http: httpx2.AsyncClient, ledger: Ledger) -> dict[str, dict[str, Any]]:
    """All that the gateway lists, by id."""
    found: dict[str, dict[str, Any]] = {}
    url: str | None = "/v1/predictions"
    while url:
        page = (await http.get(url)).json()
        for one in page["results"]:
            if one["id"] in found:
                ledger.violations.append(f"prediction {one['id']} is listed twice")
            ledger.saw(one)
            found[one["id"]] = one
        url = page["next"]
    return found


def _descriptors(process: psutil.Process) -> list[str]:
    """What a process has open, without the numbers in it."""
    folder = Path(f"/proc/{process.pid}/fd")
    if not folder.is_dir():
        return []  # not Linux: nothing is compared
    targets = []
    for link in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(link.readlink().name.partition(":")[0])
    return targets


async def run(options: argparse.Namespace) -> Ledger:
    ledger = Ledger()
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder), [PROJECTS / name for name in MODELS], OPTIONS)
        await gateway.start()
        storm = Storm(gateway, ledger, options)
        try:
            async with receiver(ledger, random.Random(options.seed)) as hook:
                await storm.rage(hook)
                await storm.check()
        finally:
            await gateway.end(signal.SIGKILL)
            if ledger.violations and options.log:
                options.log.write_bytes(gateway.log.read_bytes())
    return ledger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--clients", type=int, default=16, help="callers at once (16)")
    parser.add_argument("--gateway-kills", type=int, default=2, help="how often the gateway is killed (2)")
    parser.add_argument("--kill-every", type=int, default=15, help="predictions between two killed workers (15)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    parser.add_argument("--json", type=Path, help="write what happened here")
    parser.add_argument("--log", type=Path, help="if a promise was broken, write what the gateway said here")
    options = parser.parse_args()
    start_s = time.monotonic()
    ledger = asyncio.run(run(options))
    print(f"\n{options.predictions} predictions, seed {options.seed}, {time.monotonic() - start_s:.0f} s")
    for what, count in sorted(ledger.events.items()):
        print(f"{count:>7}  {what}")
    for violation in ledger.violations:
        print(f"VIOLATED  {violation}")
    if options.json:
        known = {"events": dict(sorted(ledger.events.items())), "violations": ledger.violations}
        options.json.write_text(
            json.dumps({"predictions": options.predictions, "seed": options.seed, **known}, indent=2)
        )
    if ledger.violations:
        sys.exit(1)
    print("every promise was kept")


if __name__ == "__main__":
    main()
