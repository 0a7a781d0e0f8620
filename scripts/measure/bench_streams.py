#!/usr/bin/env python
"""Concurrent streaming clients on one worker: our predictor against a plain one, in turn, in the same run.

Both serve the same model folder behind the real Cog server.  Every client asks for the same number of tokens, so that
tokens per second are comparable; the plain predictor takes one request at a time, so its clients stand in line, and
their time to first token is mostly that wait.

    python scripts/train/make_bench_model.py --arch llama --size 135m --out .cache/models/llama-135m
    python scripts/measure/bench_streams.py --model .cache/models/llama-135m --rounds 3 --out docs/streams.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pilotlight import PilotlightError
from pilotlight.runtime import Completed, LocalQueue, Output, Project, ServerOptions, Worker, raise_for_status

ROOT = Path(__file__).resolve().parents[2]
SETUP_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Round:
    """One crowd of clients, started at once; times in seconds from that moment."""

    project: str
    wall_s: float
    output_tokens: int
    time_to_first_token_s: list[float]

    @property
    def tokens_per_second(self) -> float:
        return self.output_tokens / self.wall_s


async def client(worker: LocalQueue, number: int, tokens: int, started_at: float) -> float:
    """Stream one prediction; its time to first token."""
    inputs = {"prompt": f"def function_{number}(self):", "max_tokens": tokens, "min_tokens": tokens}
    first: float | None = None
    async with aclosing(worker.stream(inputs)) as events:
        async for event in events:
            if isinstance(event, Output) and first is None:
                first = time.monotonic() - started_at
            elif isinstance(event, Completed):
                raise_for_status(event.prediction)
    assert first is not None, "a prediction of many tokens without output: this is a bug"
    return first


async def one_round(name: str, worker: LocalQueue, clients: int, tokens: int) -> Round:
    await worker.predict({"prompt": "def warm(self):", "max_tokens": 4, "min_tokens": 4})
    started_at = time.monotonic()
    firsts = await asyncio.gather(*(client(worker, i, tokens, started_at) for i in range(clients)))
    return Round(name, time.monotonic() - started_at, clients * tokens, sorted(firsts))


async def measure(args: argparse.Namespace) -> list[Round]:
    projects = {"pilotlight": ROOT, "plain": ROOT / "scripts" / "baselines" / "plain"}
    env = {"PILOTLIGHT_MODEL": str(args.model.resolve())}
    rounds: list[Round] = []
    for number in range(args.rounds):
        for name, root in sorted(projects.items(), reverse=bool(number % 2)):  # in turn, and not always in one order
            async with LocalQueue(partial(Worker, Project.load(root), ServerOptions(env=env))) as worker:
                await worker.wait_ready(SETUP_TIMEOUT_S)
                rounds.append(await one_round(name, worker, args.clients, args.tokens))
            show(rounds[-1])
    return rounds


def show(done: Round) -> None:
    firsts = done.time_to_first_token_s
    print(
        f"{done.project:10}  {done.tokens_per_second:7.1f} tokens/s  "
        f"first token: median {statistics.median(firsts):6.2f} s, worst {firsts[-1]:6.2f} s",
        file=sys.stderr,
        flush=True,
    )


def summary(rounds: list[Round]) -> dict[str, object]:
    """Medians over rounds, with the lowest and the highest, and the ratio of each pair of neighbors."""
    result: dict[str, object] = {}
    for name in ("pilotlight", "plain"):
        mine = [r for r in rounds if r.project == name]
        rates = [r.tokens_per_second for r in mine]
        result[name] = {
            "tokens_per_second": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
            "time_to_first_token_median_s": statistics.median(statistics.median(r.time_to_first_token_s) for r in mine),
            "time_to_first_token_worst_s": max(max(r.time_to_first_token_s) for r in mine),
        }
    pairs = [sorted(pair, key=lambda r: r.project) for pair in zip(rounds[::2], rounds[1::2], strict=True)]
    ratios = [ours.tokens_per_second / plain.tokens_per_second for ours, plain in pairs]
    result["ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model folder that both serve")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64, help="output tokens of each client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write raw values and summary as JSON")
    args = parser.parse_args()
    if not (args.model / "config.json").exists():
        parser.error(f"{args.model} is no model folder; make one with scripts/train/make_bench_model.py")
    try:
        rounds = asyncio.run(measure(args))
    except PilotlightError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    report = {
        "format": 1,
        "model": args.model.name,
        "clients": args.clients,
        "tokens_per_client": args.tokens,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "summary": summary(rounds),
        "rounds": [asdict(r) for r in rounds],
    }
    text = json.dumps(report, indent=1)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")
    print(json.dumps(report["summary"], indent=1) if args.out else text)


if __name__ == "__main__":
    main()
