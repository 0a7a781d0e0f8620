#!/usr/bin/env python
"""Do all engines answer conversations of real use as transformers' generate does, token by token?

The conversations are in tests/data/conversations.json: turns, code, several scripts, emoji, an empty system message,
texts to continue, stop sequences, 6,000 tokens. Each engine (torch, openvino, onnx) runs the model in float32 and gets
every conversation alone, then all of them and the first three again together. The reference is generate on the same
folder, greedy. Artifacts that are missing are exported once and kept. Exit status 1 where an answer differs.

    python scripts/checks/check_chat.py                              # SmolLM2-135M-Instruct, as the tests have it
    python scripts/checks/check_chat.py --model FOLDER --engines torch,onnx --only long
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from pilotlight.engines.select import open_artifact
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.errors import PilotlightError
from pilotlight.loading.export.build import CONVERTERS
from pilotlight.loading.export.environment import CACHE_VARIABLE
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.progress import Silent
from scripts.checks.conversations import Answer, Conversation, Reference, conversations, differences

ENGINES = ("torch", "openvino", "onnx")
TOGETHER = 20
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "pilotlight"


def open_engine(name: str, model: Path, cache: Path, slots: int) -> BackendEngine:
    """Return an engine in float32, with places for all conversations at once."""
    if name == "torch":
        from pilotlight.engines.torch.engine import TorchEngine

        return TorchEngine(model, device="cpu", dtype="float32", slots=slots, queue_size=TOGETHER)
    folder = cache / "check-chat" / f"{model.name}-{name}-fp32"
    if not folder.is_dir():
        draft = folder.with_name(folder.name + ".new")
        environ = {**os.environ, CACHE_VARIABLE: os.environ.get(CACHE_VARIABLE) or str(cache)}
        CONVERTERS[name]([(model, draft)], "fp32", environ, Silent())
        draft.rename(folder)
    return open_artifact(model, Artifact(folder, name, "fp32", "cpu"), slots=slots, queue_size=TOGETHER)


def answers(engine: BackendEngine, asked: Sequence[Conversation]) -> list[Answer]:
    """Return the answers to conversations that are asked at once."""
    running = [engine.submit(one.request().request(engine.codec)) for one in asked]
    texts = [generation.text() for generation in running]
    return [Answer(tuple(one.output_ids), text) for one, text in zip(running, texts, strict=True)]


def compare(engine: BackendEngine, asked: list[Conversation], expected: list[Answer]) -> int:
    """Ask alone and together, print how many answers are the same, and return how many are not."""
    many = [number % len(asked) for number in range(max(TOGETHER, len(asked)))]
    alone = [answers(engine, [one])[0] for one in asked]
    together = answers(engine, [asked[number] for number in many])
    wrong = 0
    for way, numbers, got in (("alone", list(range(len(asked))), alone), ("together", many, together)):
        found = [(asked[n].name, differences(expected[n], one)) for n, one in zip(numbers, got, strict=True)]
        bad = [(name, difference) for name, difference in found if difference]
        print(f"  {way}: {len(found) - len(bad)} of {len(found)} as generate")
        for name, difference in bad:
            print(f"    {name}: {'; '.join(difference)}")
        wrong += len(bad)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder with a chat template [SmolLM2-135M-Instruct]")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which to check [%(default)s]")
    parser.add_argument("--only", help="conversations whose names hold this")
    parser.add_argument("--slots", type=int, default=8, help="requests that advance together [%(default)s]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where exported artifacts are kept [.cache]")
    options = parser.parse_args()
    chosen = options.engines.split(",")
    if unknown := set(chosen) - set(ENGINES):
        parser.error(f"no engine is called {', '.join(sorted(unknown))}; expected some of {', '.join(ENGINES)}")
    asked = [one for one in conversations() if not options.only or options.only in one.name]
    if not asked:
        parser.error(f"no conversation's name holds {options.only!r}")
    if options.model is None:
        from tests.real_models import smollm2

        options.model = smollm2()
    reference = Reference(options.model)
    expected = [reference.answer(one) for one in asked]
    tokens = [len(reference.prompt_ids(one)) for one in asked]
    print(f"{options.model.name}: {len(asked)} conversations, prompts of {min(tokens)} to {max(tokens)} tokens")
    wrong = 0
    for name in chosen:
        started = time.monotonic()
        try:
            engine = open_engine(name, options.model, options.cache, options.slots)
        except PilotlightError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: {engine.info.dtype}, {engine.info.slots} at once, context of {engine.info.context_tokens}")
        try:
            wrong += compare(engine, asked, expected)
        finally:
            engine.close()
        print(f"  {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
