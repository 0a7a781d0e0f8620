#!/usr/bin/env python
"""How much dynamic batching gives: texts per second one at a time, in batches as they come, and as the engine does it.

    python scripts/measure/bench_encoder.py weights/pylight-areas
    python scripts/measure/bench_encoder.py weights/pylight-areas --engine openvino --texts 512 --json

The three take turns in one engine, so that what else the machine does falls on each of them; rates are medians over the
rounds, and ratios are of the same round.  The texts are functions that the demo classifier never saw.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pilotlight.engines.encoders.batch_planner import BatchLimits, Cost
from pilotlight.engines.encoders.batching import BatchingEncoder
from pilotlight.engines.encoders.model_config import native_task
from pilotlight.engines.encoders.types import EncoderInfo, TextRequest
from pilotlight.engines.select import EngineOptions
from pilotlight.engines.select_encoder import open_encoder
from pilotlight.errors import PilotlightError, UsageError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.train.classifier_data import snippets

ROWS = 32
ALONE, AS_THEY_COME, ENGINE = "one at a time", f"batches of {ROWS} as they come", "the engine"
ALL_TOGETHER = Cost(call_s=1.0, token_s=0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured: seconds of every round for all texts, by the way they were computed."""

    info: EncoderInfo
    mean_tokens: float
    texts: int
    seconds: dict[str, list[float]]

    def rate(self, way: str) -> float:
        return self.texts / statistics.median(self.seconds[way])

    def ratio(self, way: str) -> float:
        pairs = zip(self.seconds[ALONE], self.seconds[way], strict=True)
        return statistics.median(alone / took for alone, took in pairs)


def measure(engine: BatchingEncoder, texts: list[str], rounds: int) -> Result:
    """Each way once in every round, after one that is not counted."""
    requests = [TextRequest(text) for text in texts]
    tokens = [future.result().tokens for future in engine.submit(requests)]
    info = engine.info

    def send(groups: list[list[TextRequest]], cost: Cost) -> Callable[[], None]:
        def run() -> None:
            engine.assume(cost)
            for group in groups:
                for future in engine.submit(group):
                    future.result()

        return run

    ways = {
        ALONE: send([[one] for one in requests], Cost(0.0, info.cost.token_s)),
        AS_THEY_COME: send([requests[at : at + ROWS] for at in range(0, len(requests), ROWS)], ALL_TOGETHER),
        ENGINE: send([requests], info.cost),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - started)
    return Result(info, statistics.fmean(tokens), len(texts), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a classifier's or an embedder's folder")
    parser.add_argument("--engine", choices=("auto", "torch", "openvino"), default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print all of it, raw seconds included")
    args = parser.parse_args()
    try:
        task = native_task(args.model)
        if task is None:
            raise UsageError(f"{args.model} is not an encoder")
        options = EngineOptions(args.engine, args.device, args.dtype)
        engine = open_encoder(args.model, task, options, queue_size=args.texts, limits=BatchLimits(max_rows=ROWS))
    except PilotlightError as error:
        parser.error(str(error))
    _, held_out = snippets()
    step = max(1, len(held_out) // args.texts)
    assert isinstance(engine, BatchingEncoder), "every encoder is one: this is a bug"
    result = measure(engine, [one.text for one in held_out[::step]][: args.texts], args.rounds)
    engine.close()
    if args.json:
        print(json.dumps(asdict(result), indent=2))
        return
    info = result.info
    print(f"{info.engine} {info.dtype} on {info.device}: {result.texts} texts of {result.mean_tokens:.0f} tokens")
    print(f"a batch takes {info.cost.call_s * 1e3:.2f} ms and {info.cost.token_s * 1e6:.2f} us for each token")
    for way in result.seconds:
        print(f"{way}: {result.rate(way):.0f} texts/s, {result.ratio(way):.2f} times")


if __name__ == "__main__":
    main()
