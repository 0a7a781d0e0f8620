#!/usr/bin/env python
"""What happens when many requests arrive at once at a version that sleeps?

Starts a real `pilotlight gateway` without workers, sends all requests at the same moment, and notes what became of each
and how the gateway scaled meanwhile: once for a project that only sleeps, once for this repository's own predictor.
Writes burst.json, and from that the pictures burst-light.png and burst-dark.png.

    python scripts/measure/burst.py --requests 50 --out docs/burst
    python scripts/measure/burst.py --draw docs/burst/burst.json --out docs/burst
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from pilotlight.bench.harness.environment import read_environment
from pilotlight.bench.report.charts.chart import as_png
from pilotlight.runtime import Project

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.measure.burst_chart import burst_chart
from scripts.measure.gateway_process import PROJECTS, ROOT, Gateway

FORMAT = 1
# Project, input, workers at most.
SLEEPS = (str(PROJECTS / "load_sleeps"), '{"seconds": 0.4}', "3")
OURS = (str(ROOT), '{"prompt": "def main(args):", "max_tokens": 64, "temperature": 0, "seed": 1}', "1")
LOOK_S = 0.02
LIMIT_S = 300.0


class Burst:
    """All requests of one burst at one gateway, and what is seen meanwhile."""

    def __init__(self, http: httpx2.AsyncClient, model: str, inputs: dict[str, Any]) -> None:
        self.http, self.model, self.inputs = http, model, inputs
        self.samples: list[dict[str, float]] = []
        self.start_s = time.time()

    async def run(self, requests: int) -> list[dict[str, Any]]:
        """Each request: when it was accepted, how it waited and ran, and when it was answered."""
        looking = asyncio.create_task(self._look())
        try:
            return await asyncio.gather(*(self._ask() for _ in range(requests)))
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _ask(self) -> dict[str, Any]:
        url = f"/v1/models/{self.model}/predictions"
        prediction = (await self.http.post(url, json={"input": self.inputs}, headers={"Prefer": "wait=60"})).json()
        while prediction.get("status") in ("starting", "processing"):
            async with self.http.stream("GET", prediction["urls"]["stream"]) as stream:
                await stream.aread()
            prediction = (await self.http.get(prediction["urls"]["get"])).json()
        if prediction.get("status") != "succeeded":
            raise SystemExit(f"a request did not succeed: {json.dumps(prediction)[:800]}")
        parts = {key: prediction["metrics"][key] for key in ("queue_s", "cold_start_s", "predict_s")}
        times = {"accepted_s": "created_at", "ended_s": "completed_at"}
        at = {key: datetime.fromisoformat(prediction[name]).timestamp() - self.start_s for key, name in times.items()}
        return {**at, "answered_s": time.time() - self.start_s, **parts}

    async def _look(self) -> None:
        """What the gateway says of itself, over and over."""
        names = {
            "waiting": r"vllm:num_requests_waiting\{[^}]*\}",
            "running": r"vllm:num_requests_running\{[^}]*\}",
            "starting": r'pilotlight:workers\{[^}]*state="starting"\}',
            "ready": r'pilotlight:workers\{[^}]*state="ready"\}',
        }
        while True:
            text = (await self.http.get("/metrics")).text
            at_s = time.time() - self.start_s
            found = {
                name: sum(float(n) for n in re.findall(rf"^{line} (\S+)$", text, re.M)) for name, line in names.items()
            }
            self.samples.append({"at_s": at_s, **found})
            await asyncio.sleep(LOOK_S)


async def measure(folder: Path, inputs: str, workers: str, requests: int) -> dict[str, Any]:
    """One burst, as it is kept."""
    options = ("--max-workers", workers, "--max-waiting", str(requests))
    with tempfile.TemporaryDirectory() as place:
        gateway = Gateway(Path(place), [folder], options)
        await gateway.start()
        try:
            limits = httpx2.Limits(max_connections=None)
            client = httpx2.AsyncClient(base_url=gateway.url, trust_env=False, timeout=LIMIT_S, limits=limits)
            async with client as http:
                (model,) = (await http.get("/v1/models")).json()["results"]
                burst = Burst(http, f"{model['owner']}/{model['name']}", json.loads(inputs))
                answers = await burst.run(requests)
        finally:
            await gateway.end()
    return {
        "project": "pilotlight" if folder == ROOT else str(model["name"]),
        "inputs": json.loads(inputs),
        "max_workers": int(workers),
        "slots": Project.load(folder).max_concurrency,
        "requests": answers,
        "samples": burst.samples,
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    bursts = [await measure(Path(one[0]), *one[1:], options.requests) for one in options.burst or (SLEEPS, OURS)]
    environment = read_environment(Path(sys.executable)).model_dump(mode="json")
    return {"format": FORMAT, "kind": "burst", "created_at": time.time(), "environment": environment, "bursts": bursts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50, help="at once (50)")
    what = ("PROJECT", "INPUT", "WORKERS")
    parser.add_argument("--burst", nargs=3, action="append", metavar=what, help="a project, its input as JSON, workers")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "burst", help="the folder to write to (docs/burst)")
    parser.add_argument("--draw", type=Path, metavar="JSON", help="only draw what an earlier run wrote")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    result = json.loads(options.draw.read_text()) if options.draw else asyncio.run(run(options))
    if not options.draw:
        (options.out / "burst.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, dark in (("burst-light.png", False), ("burst-dark.png", True)):
        (options.out / name).write_bytes(as_png(burst_chart(result), dark=dark))
    for burst in result["bursts"]:
        answered = sorted(one["answered_s"] for one in burst["requests"])
        first, middle, last = answered[0], answered[len(answered) // 2], answered[-1]
        print(f"{burst['project']}: answers after {first:.2f} s (first), {middle:.2f} s (half), {last:.2f} s (all)")


if __name__ == "__main__":
    main()
