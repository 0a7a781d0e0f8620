#!/usr/bin/env python
"""What OpenVINO GenAI gives without a server: its continuous batching driven in this process, for so many at once.

A closed loop: as soon as a request has its tokens, the next one takes its place, until the time is over. Token ids in,
token ids out: nothing is decoded. Prints a line of JSON for each number of streams.

    python scripts/baselines/genai/crowd.py .cache/models/llama-135m openvino-int8-cpu --streams 1,16
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai
from tokenizers import Tokenizer

BLOCK_TOKENS = 32  # fixed by the runtime on a CPU


@dataclass(slots=True)
class Running:
    """One request; times on the monotonic clock."""

    handle: Any
    asked_s: float
    first_s: float | None = None
    tokens: int = 0


class Crowd:
    """A pipeline with room for so many requests of one prompt."""

    def __init__(self, artifact: Path, prompt: list[int], tokens: int, streams: int) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = streams * ((len(prompt) + tokens) // BLOCK_TOKENS + 2)
        scheduler.max_num_seqs = streams
        scheduler.enable_prefix_caching = False  # one prompt for all would make it a benchmark of the cache
        self.pipeline = genai.ContinuousBatchingPipeline(str(artifact), scheduler, "CPU", {})
        self._prompt = openvino.Tensor(np.array([prompt], dtype=np.int64))
        self._config = genai.GenerationConfig()
        self._config.max_new_tokens = tokens
        self._config.do_sample = False
        self._config.set_eos_token_id(0)  # some token: without one it refuses its own default
        self._config.ignore_eos = True
        self._next = 0

    def ask(self) -> Running:
        self._next += 1
        asked_s = time.monotonic()
        return Running(self.pipeline.add_request(self._next, self._prompt, self._config), asked_s)

    def take(self, one: Running) -> int:
        """Its new tokens."""
        new = 0
        while one.handle.can_read():
            new += sum(len(output.generated_ids) for output in one.handle.read().values())
        if new and one.first_s is None:
            one.first_s = time.monotonic()
        one.tokens += new
        return new

    def play(self, streams: int, duration_s: float, tokens: int) -> dict[str, Any]:
        """So many at once for so long; what came within that time, and how long each request waited."""
        began_s = time.monotonic()
        until_s = began_s + duration_s
        running = [self.ask() for _ in range(streams)]
        done: list[Running] = []
        within = 0
        while running:
            self.pipeline.step()
            over = time.monotonic() > until_s
            still: list[Running] = []
            for one in running:
                new = self.take(one)
                within += 0 if over else new
                if one.tokens < tokens:
                    still.append(one)
                    continue
                done.append(one)
                if not over:
                    still.append(self.ask())
            running = still
        assert all(one.first_s is not None for one in done), "tokens without a first one: this is a bug"
        return {
            "streams": streams,
            "window_s": duration_s,
            "requests": len(done),
            "tokens_per_s": within / duration_s,
            "first_output_s": [round((one.first_s or 0.0) - one.asked_s, 6) for one in done],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder, for its tokenizer")
    parser.add_argument("artifact", help="the name of its artifact")
    parser.add_argument("--streams", type=lambda text: list(map(int, text.split(","))), default=[1, 16])
    parser.add_argument("--duration", type=float, default=10.0, help="seconds of each")
    parser.add_argument("--prompt", default="def main(args):")
    parser.add_argument("--tokens", type=int, default=64, help="of each request")
    args = parser.parse_args()
    prompt = Tokenizer.from_file(str(args.model / "tokenizer.json")).encode(args.prompt).ids
    crowd = Crowd(args.model / args.artifact, prompt, args.tokens, max(args.streams))
    crowd.play(1, 0.001, args.tokens)  # nobody measured is the first
    for streams in args.streams:
        print(json.dumps(crowd.play(streams, args.duration, args.tokens)), flush=True)


if __name__ == "__main__":
    main()
